"""A bubblewrap sandbox: new namespaces, no network, an empty root with /proc, /dev, a tmpfs at /tmp and one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from benchproof.model import Completed, Facts, Lab
from benchproof.targets.host import (
    LOOPBACK,
    FolderInstance,
    confined,
    not_executed,
    shared_folder,
    with_authority,
)
from benchproof.targets.observed import observe, sections, tool_version
from benchproof.targets.settings import Pinned

_OPTIONS = ("--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--setenv", "LC_ALL", "C")
_MOUNTS = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108 - a path inside the sandbox
_BWRAP_FAILED = 1  # as its exit status; a command may have the same
_SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/etc/alternatives")


class _Sandboxed(FolderInstance):
    """Each command in a sandbox of its own."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        done = super().run(argv, stdin=stdin, timeout_s=timeout_s)
        said, unstarted = done.stderr.decode(errors="replace"), f"bwrap: execvp {argv[0]}: "
        if done.exit_status == _BWRAP_FAILED and not done.stdout and said.startswith(unstarted):
            return not_executed(done, argv[0], said.removeprefix(unstarted).strip())
        return done


class Bwrap:
    """Commands under `bwrap`."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`system`: show the host's programs and libraries, read-only, inside.

        `seccomp`: put a filter on every command, see authority.c; `network`: "host" shares that of the host.
        """

        system: bool = False
        seccomp: Literal["none", "confined"] = "none"
        network: Literal["none", "host"] = "none"

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab

    def facts(self) -> Facts:
        version = _version()
        with self.start() as instance:
            observed = observe(instance)
        command = " ".join(["bwrap", *_OPTIONS, *self._wrap(Path("FOLDER"))])
        found = sections(
            observed,
            execution="native",
            cpus=self.settings.cpu_numbers,
            kind="bwrap",
            version=version,
            command=command,
        )
        return with_authority(found, seccomp=self.settings.seccomp, network=self.settings.network, usual="none")

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        _version()
        with shared_folder(self.lab) as folder:
            network = ["--share-net"] if self.settings.network == "host" else []
            inner = confined("/work/probe", seccomp=self.settings.seccomp)
            words = ["bwrap", *_OPTIONS, *network, *self._wrap(folder), *inner]
            yield _Sandboxed(
                lab=self.lab,
                folder=folder,
                inside="/work",
                wrap=words,
                cpus=self.settings.cpu_numbers,
                host_address=LOOPBACK if network else "",
            )

    def _wrap(self, folder: Path) -> list[str]:
        shown = [path for path in _SYSTEM_FOLDERS if self.settings.system and Path(path).exists()]
        binds = [word for path in shown for word in ("--ro-bind", path, path)]
        return [
            *binds,
            *_MOUNTS,
            "--bind",
            str(folder),
            "/work",
            "--chdir",
            "/work",
            "--",
        ]


def _version() -> str:
    return tool_version("bwrap", "--version", missing="apt-get install bubblewrap")
