"""A gVisor sandbox from an empty root, without network unless the plan says so: one of its own for each command.

What is frozen and cloned is a sandbox that lives from command to command: see runsc.py.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Literal

import msgspec

from benchproof.errors import TargetFailed
from benchproof.model import Completed, Facts, Lab
from benchproof.targets.host import FolderInstance, shared_folder, with_authority
from benchproof.targets.observed import observe, sections, tool_version
from benchproof.targets.runsc import BundleInstance, Sandbox, SandboxImage, sandbox
from benchproof.targets.settings import Pinned

_RUNSC_FAILED = 128


class _OneSandboxEach(BundleInstance):
    """A sandbox of its own for each command."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        words = [*self._runsc, "run", self.bundle(argv), f"benchproof-{uuid.uuid4().hex}"]
        done = self.run_here(words, stdin=stdin, timeout_s=timeout_s)
        if done.exit_status == _RUNSC_FAILED and b"FATAL ERROR" in done.stderr:
            raise TargetFailed(f"runsc: {done.stderr[-300:].decode(errors='replace').strip().splitlines()[-1]}")
        return done


class Gvisor:
    """Commands under `runsc`."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`platform`: how the sandbox intercepts system calls; `runsc`: the program.

        `network`: "host" hands the sandbox's network calls to the host's kernel, in the host's own network.
        """

        platform: Literal["ptrace", "systrap", "kvm"] = "ptrace"
        runsc: str = "runsc"
        network: Literal["none", "host"] = "none"

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab
        self._image: SandboxImage | None = None

    def facts(self) -> Facts:
        version = self._version()
        with self.start() as instance:
            observed = observe(instance)
        found = sections(
            observed,
            execution="native",
            cpus=self.settings.cpu_numbers,
            kind="gvisor",
            version=version,
            platform=self.settings.platform,
            command=" ".join(self._command),
        )
        return with_authority(found, seccomp="none", network=self.settings.network, usual="none")

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        with shared_folder(self.lab) as home:
            yield _OneSandboxEach(lab=self.lab, home=home, command=self._command, cpus=self.settings.cpu_numbers)

    @contextlib.contextmanager
    def cold(self) -> Iterator[Sandbox]:
        """One sandbox for all its commands."""
        with sandbox(self.lab, self._command, self.settings.cpu_numbers) as fresh:
            fresh.begin("run")
            yield fresh

    def image(self) -> SandboxImage:
        """Kept for this run only: what a checkpoint holds depends on the build of runsc."""
        if self._image is None:
            with self.cold() as instance:
                self._image = msgspec.structs.replace(instance.freeze(), kept=True)
        return self._image

    @cached_property
    def _command(self) -> tuple[str, ...]:
        """`runsc` and its global options. Raises NotSupported where it is not installed."""
        self._version()
        rights = () if os.geteuid() == 0 else ("--rootless",)
        platform = f"--platform={self.settings.platform}"
        return (self.settings.runsc, *rights, platform, f"--network={self.settings.network}", "--ignore-cgroups")

    def _version(self) -> str:
        return tool_version(self.settings.runsc, "--version", missing="apt-get install runsc")
