"""This machine as it is: each invocation is a fresh process in an empty folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from benchproof import beneath, process
from benchproof.errors import LabInvalid, TargetFailed
from benchproof.model import Clock, Completed, Facts, Lab
from benchproof.targets.observed import observe, sections
from benchproof.targets.settings import Pinned

_FILE_LIMIT_BYTES = 64 << 20
LOOPBACK = "127.0.0.1"
CANNOT_EXECUTE = 127  # the status of a command that is not there, see agent.c
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a folder of ours is made in it


class FolderInstance:
    """A command runs behind a wrapper that shares one folder with the host; inside, the folder has its own name.

    What is in the folder may be anything that a command made there: no link in it is followed from outside.
    """

    clock: Clock = "target"

    def __init__(
        self,
        *,
        lab: Lab,
        folder: Path,
        inside: str,
        wrap: Sequence[str] = (),
        tmpfs: str = "",
        cpus: Sequence[int] = (),
        host_address: str = "",
    ) -> None:
        self._lab = lab
        self._folder = folder
        self.workspace = inside  # where files are put, as a command sees it
        self._running: set[process.Supervised] = set()
        self._wrap = wrap  # words before the command
        self.host_address = host_address  # see Networked
        self._cpus = cpus  # of the host; none: all that we may use
        self._environment = process.ENVIRONMENT | ({"BENCHPROOF_TMPFS": tmpfs} if tmpfs else {})
        self.probe = self.put(lab.probe, "probe")
        self.cat = (self.probe, "cat")

    @property
    def folder(self) -> Path:
        """The workspace, as the host sees it."""
        return self._folder

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        return self.run_here([*self._wrap, *argv], stdin=stdin, timeout_s=timeout_s)

    def run_here(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """Run on the host, in the folder; what it says on standard error is kept with the invocation."""
        return self._supervised(argv, stdin=stdin, timeout_s=timeout_s, cwd=self._folder, environment=self._environment)

    def _supervised(
        self, argv: Sequence[str], *, stdin: bytes, timeout_s: float, cwd: Path, environment: Mapping[str, str]
    ) -> Completed:
        running: list[process.Supervised] = []

        def began(program: process.Supervised) -> None:
            running.append(program)
            self._running.add(program)

        try:
            done = process.run(
                argv,
                supervisor=self._lab.probe,
                stdin=stdin,
                timeout_s=timeout_s,
                cwd=cwd,
                environment=environment,
                cpus=self._cpus,
                began=began,
            )
        finally:
            self._running.difference_update(running)
        if done.stderr:
            self._lab.log("stderr", done.stderr)
        return done

    def abort(self) -> None:
        """End the commands that run, from another thread: they end as if they had been killed."""
        for program in tuple(self._running):
            program.stop()

    def put(self, source: Path, name: str) -> str:
        beneath.write(self._folder, PurePosixPath(name), source.read_bytes(), mode=0o755)
        return f"{self.workspace}/{name}"

    def get(self, path: str) -> bytes:
        """Of the shared folder alone: the rest of a sandbox is not the host's to read."""
        inside = PurePosixPath(path)
        if not inside.is_relative_to(self.workspace) or ".." in inside.parts:
            raise TargetFailed(f"cannot read '{path}': expected a file in {self.workspace}")
        try:
            return beneath.read(self._folder, inside.relative_to(self.workspace), limit_bytes=_FILE_LIMIT_BYTES)
        except OSError as error:
            raise TargetFailed(f"cannot read '{path}': {error.strerror}") from error


def not_executed(done: Completed, name: str, why: str) -> Completed:
    """The end of a command that never began, as the probe tells it everywhere: status 127 and the reason."""
    said = f"probe: cannot execute '{name}': {why}\n".encode()
    return Completed(exit_status=CANNOT_EXECUTE, stdout=b"", stderr=said, elapsed_ns=done.elapsed_ns)


@contextlib.contextmanager
def shared_folder(lab: Lab) -> Iterator[Path]:
    """An empty folder that is gone afterwards, also from under a command that changed its modes."""
    with tempfile.TemporaryDirectory(dir=lab.scratch, prefix="instance-", ignore_cleanup_errors=False) as folder:
        yield Path(folder)


@contextlib.contextmanager
def tmpfs_folder(lab: Lab) -> Iterator[str]:
    """A folder in the host's shared memory for the probe's files: a probe that is killed cannot remove them itself."""
    if not os.access(_SHARED_MEMORY, os.W_OK):
        yield ""
        return
    with tempfile.TemporaryDirectory(dir=_SHARED_MEMORY, prefix=f"{lab.scratch.name}-") as folder:
        yield folder


def confined(probe: str, *, seccomp: str = "none", network: str = "host") -> list[str]:
    """The words before a command that is to have less than it would have; none if it is not."""
    namespaces = ["--namespaces", "net"] if network == "none" else []
    filters = ["--seccomp", seccomp] if seccomp != "none" else []
    return [probe, "confine", *namespaces, *filters, "--"] if namespaces or filters else []


def with_authority(found: dict[str, dict[str, str]], *, seccomp: str, network: str, usual: str) -> Facts:
    """The facts, and in section `authority` what the plan made other than it is usually on such a target.

    Raises LabInvalid where a filter was asked for and none was seen from within.
    """
    if seccomp != "none" and found["authority"].get("seccomp_filters", "0") == "0":
        raise LabInvalid(f"authority wider than declared: expected seccomp = '{seccomp}', found no filter within")
    chosen = {
        "seccomp": seccomp if seccomp != "none" else "",
        "network": network if network != usual else "",
        "network_label": "shares the host's network" if (network, usual) == ("host", "none") else "",
    }
    return found | {"authority": found["authority"] | {name: value for name, value in chosen.items() if value}}


class Host:
    """The host itself."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`seccomp`: put a filter on every command, see authority.c; `network`: "none" is an empty one."""

        seccomp: Literal["none", "confined"] = "none"
        network: Literal["host", "none"] = "host"

    instance: ClassVar[type[FolderInstance]] = FolderInstance

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab

    def facts(self) -> Facts:
        with self.start() as instance:
            found = sections(observe(instance), execution="native", cpus=self.settings.cpu_numbers, kind="host")
        return with_authority(found, seccomp=self.settings.seccomp, network=self.settings.network, usual="host")

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        with shared_folder(self.lab) as folder, tmpfs_folder(self.lab) as tmpfs:
            wrap = confined(f"{folder}/probe", seccomp=self.settings.seccomp, network=self.settings.network)
            yield self.instance(
                lab=self.lab,
                folder=folder,
                inside=str(folder),
                wrap=wrap,
                tmpfs=tmpfs,
                cpus=self.settings.cpu_numbers,
                host_address=LOOPBACK if self.settings.network == "host" else "",
            )
