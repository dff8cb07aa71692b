"""A gVisor sandbox: `runsc` runs each command in a sandbox of its own, without network, from an empty root."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from benchproof import process
from benchproof.errors import TargetFailed
from benchproof.model import Completed, Facts, Frozen, Lab
from benchproof.targets.host import FolderInstance, shared_folder
from benchproof.targets.observed import observe, sections, tool_version

_RUNSC_FAILED = 128


class _SandboxInstance(FolderInstance):
    """Writes an OCI bundle for each command; the shared folder is the bundle's /work."""

    def __init__(self, *, lab: Lab, home: Path, runsc: Sequence[str]) -> None:
        self._home = home
        self._runsc = [*runsc, f"--root={home / 'state'}"]
        for name in ("work", "bundle/rootfs", "state"):
            (home / name).mkdir(parents=True)
        super().__init__(lab=lab, folder=home / "work", inside="/work")

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        (self._home / "bundle" / "config.json").write_bytes(msgspec.json.encode(_specification(argv, self._folder)))
        words = [*self._runsc, "run", f"--bundle={self._home / 'bundle'}", f"benchproof-{uuid.uuid4().hex}"]
        done = self.run_here(words, stdin=stdin, timeout_s=timeout_s)
        if done.exit_status == _RUNSC_FAILED and b"FATAL ERROR" in done.stderr:
            raise TargetFailed(f"runsc: {done.stderr[-300:].decode(errors='replace').strip().splitlines()[-1]}")
        return done


class Gvisor:
    """Commands under `runsc`."""

    class Settings(Frozen, frozen=True, forbid_unknown_fields=True):
        """`platform`: how the sandbox intercepts system calls; `runsc`: the program."""

        platform: Literal["ptrace", "systrap", "kvm"] = "ptrace"
        runsc: str = "runsc"

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab

    def facts(self) -> Facts:
        version = self._version()
        with self.start() as instance:
            observed = observe(instance)
        command, platform = " ".join(self._command()), self.settings.platform
        return sections(
            observed, execution="native", kind="gvisor", version=version, platform=platform, command=command
        )

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        self._version()
        with shared_folder(self.lab) as home:
            yield _SandboxInstance(lab=self.lab, home=home, runsc=self._command())

    def _command(self) -> list[str]:
        rights = [] if os.geteuid() == 0 else ["--rootless"]
        return [
            self.settings.runsc,
            *rights,
            f"--platform={self.settings.platform}",
            "--network=none",
            "--ignore-cgroups",
        ]

    def _version(self) -> str:
        return tool_version(self.settings.runsc, "--version", missing="apt-get install runsc")


def _specification(argv: Sequence[str], work: Path) -> dict[str, object]:
    """An OCI runtime specification: empty read-only root, /proc, a tmpfs at /tmp, our folder at /work."""
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(argv),
            "env": [f"{name}={value}" for name, value in process.ENVIRONMENT.items()],
            "cwd": "/work",
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},  # noqa: S108 - a path inside the sandbox
            {"destination": "/work", "type": "bind", "source": str(work), "options": ["rbind", "rw"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }
