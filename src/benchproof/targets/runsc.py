"""Sandboxes under `runsc`: their OCI bundle, one that lives from command to command, and its image on disk.

What `runsc` cannot do is said in its own words. Its `checkpoint --leave-running` is not used: release 20221219 ends the
sandbox and makes a new one under the same name, or gives up after 5 s; so a new sandbox is started here instead.
"""

from __future__ import annotations

import contextlib
import re
import select
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchproof import process
from benchproof.errors import NotSupported, StartFailed, TargetFailed
from benchproof.footprint import disk_bytes, footprint
from benchproof.model import Completed, Footprint, Frozen, Lab
from benchproof.targets.host import LOOPBACK, FolderInstance, not_executed, shared_folder

HOST_NETWORK = "--network=host"
_RUNSC_FAILED = 128  # as its exit status; a command may have the same
_EXEC_FAILED = (b"loading sandbox:", b"loading container:", b"executing processes for container:")
_NO_PROGRAM = re.compile(r" in sandbox: (failed to load|error finding executable) .*: (?P<why>[a-z ]+)$")
_TIMEOUT_S = 60.0  # of a start and of a checkpoint
_WORK = "work"  # the shared folder, in a bundle's home and in an image
_ENDED = "the sandbox was ended, with a command that did not end or could not be frozen"


class BundleInstance(FolderInstance):
    """Has an OCI bundle, whose /work is the shared folder."""

    def __init__(self, *, lab: Lab, home: Path, command: Sequence[str], cpus: Sequence[int]) -> None:
        self._home = home
        self._runsc = [*command, f"--root={home / 'state'}"]
        self._own_network = HOST_NETWORK not in command
        for name in (_WORK, "bundle/rootfs", "state"):
            (home / name).mkdir(parents=True)
        address = "" if self._own_network else LOOPBACK
        super().__init__(lab=lab, folder=home / _WORK, inside="/work", cpus=cpus, host_address=address)

    def bundle(self, argv: Sequence[str]) -> str:
        """Write the bundle for a command; returns the option that names it."""
        folder = self._home / "bundle"
        (folder / "config.json").write_bytes(
            msgspec.json.encode(_specification(argv, self._folder, own_network=self._own_network))
        )
        return f"--bundle={folder}"


class Sandbox(BundleInstance):
    """One sandbox for all commands: its first process does nothing, each command is a `runsc exec`.

    A command that runs out of time takes the sandbox with it. A process that a command leaves behind lives on; while it
    holds the command's output, the command has not ended.
    """

    def __init__(self, *, lab: Lab, home: Path, command: Sequence[str], cpus: Sequence[int]) -> None:
        super().__init__(lab=lab, home=home, command=command, cpus=cpus)
        self._command = tuple(command)
        self._life = contextlib.ExitStack()
        self._stay: process.Supervised | None = None  # None: it has not begun, or was ended
        self._container = ""

    def begin(self, verb: str, *options: str) -> None:
        """`runsc run` or `runsc restore`. Raises StartFailed.

        With `--detach`, runsc ends when the sandbox is up; its supervisor stays. The sandbox holds the streams that
        runsc was given, and one with pipes could not be restored: so they are /dev/null and a file.
        """
        self.close()
        output, container = self._home / "output", f"benchproof-{uuid.uuid4().hex}"
        output.unlink(missing_ok=True)
        bundle = self.bundle([self.probe, "idle"])
        program = [*self._runsc, verb, "--detach", bundle, *options, container]
        supervisor = self._lab.probe
        argv = [str(supervisor), "stay", str(output), *program]
        stay = process.Supervised(argv, supervisor=supervisor, cpus=self._cpus)
        status = _line(self._life.enter_context(stay), _TIMEOUT_S)
        if status != "0":
            self.close()
            said = output.read_text(errors="replace") if output.exists() else ""
            self._lab.log("runsc", said.encode())
            late = f"no end within {_TIMEOUT_S:g} s" if not status else f"exit status {status}"
            raise StartFailed(f"runsc {verb}: {_first(said) or late}")
        self._stay, self._container = stay, container

    def restore(self, image: Path) -> None:
        """Begin from an image, with its files. Raises StartFailed."""
        try:  # over the probe that is there: a clone's files have the times of the original's
            shutil.copytree(image / _WORK, self._folder, symlinks=True, dirs_exist_ok=True)
        except OSError as error:
            raise StartFailed(f"the image '{image}' is damaged: {error}") from error
        self.begin("restore", f"--image-path={image}")

    @property
    def pid(self) -> int | None:
        """Of the root of its processes; None where it was ended."""
        return self._stay.pid if self._stay else None

    def abort(self) -> None:
        """End the sandbox from another thread: a command that runs in it ends as if it had been killed."""
        if stay := self._stay:
            stay.stop()
        super().abort()

    def close(self) -> None:
        """End the sandbox and all in it."""
        self._stay = None
        self._life.close()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if self._stay is None:
            raise TargetFailed(_ENDED)
        try:
            done = self.run_here([*self._runsc, "exec", self._container, *argv], stdin=stdin, timeout_s=timeout_s)
        except BaseException:  # the end of `runsc exec` is not the end of what it started
            self.close()
            raise
        if done.exit_status == _RUNSC_FAILED and done.stderr.startswith(_EXEC_FAILED):
            said = _first(done.stderr.decode(errors="replace"))
            if why := _no_such_program(said):
                return not_executed(done, argv[0], why)
            raise TargetFailed(f"runsc exec: {said}")
        return done

    def freeze(self) -> SandboxImage:
        """Checkpoint, which ends the sandbox, then go on in a new one. Raises NotSupported, TargetFailed."""
        if self._stay is None:
            raise TargetFailed(_ENDED)
        folder = Path(tempfile.mkdtemp(dir=self._lab.scratch, prefix="image-"))
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, folder)
            words = [*self._runsc, "checkpoint", f"--image-path={folder}", self._container]
            done = self.run_here(words, stdin=b"", timeout_s=_TIMEOUT_S)
            if done.exit_status:
                raise NotSupported(f"runsc checkpoint: {_first(done.stderr.decode(errors='replace'))}")
            try:
                shutil.copytree(self._folder, folder / _WORK, symlinks=True)
                self.begin("restore", f"--image-path={folder}")
            except OSError as error:
                raise NotSupported(f"the shared folder cannot be frozen: {error}") from error
            except StartFailed as error:
                raise NotSupported(str(error)) from error
            undo.pop_all()
        return SandboxImage(folder=folder, lab=self._lab, command=self._command, cpus=tuple(self._cpus))

    def footprint(self) -> Footprint:
        """Sentry, gofer, the stubs that run the programs, and our supervisor. Raises LabInvalid, TargetFailed."""
        if self._stay is None:
            raise TargetFailed(_ENDED)
        return footprint(self._stay.pid, self.files)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that exist for it alone."""
        return (self._home, *_files(self._home))


class SandboxImage(Frozen, frozen=True, kw_only=True):
    """A folder with what `runsc checkpoint` wrote, /tmp included, and a copy of the shared folder.

    Clones do not repeat the random numbers of /dev/urandom or getrandom: the sentry asks the host for each of them.
    What a program drew before the freeze is in its memory, and so in every clone.
    """

    folder: Path
    lab: Lab
    command: tuple[str, ...]
    cpus: tuple[int, ...] = ()
    kept: bool = False  # by its target, for the whole run

    @contextlib.contextmanager
    def start(self) -> Iterator[Sandbox]:
        with sandbox(self.lab, self.command, self.cpus) as clone:
            clone.restore(self.folder)
            yield clone

    @property
    def files(self) -> tuple[Path, ...]:
        """All of it but folders."""
        return _files(self.folder)

    def size_bytes(self) -> int:
        return disk_bytes(self.files)

    def delete(self) -> None:
        if not self.kept and self.folder.exists():
            shutil.rmtree(self.folder)


@contextlib.contextmanager
def sandbox(lab: Lab, command: Sequence[str], cpus: Sequence[int]) -> Iterator[Sandbox]:
    """A sandbox that has not begun; leaving the context ends it and removes its files."""
    with (
        shared_folder(lab) as home,
        contextlib.closing(Sandbox(lab=lab, home=home, command=command, cpus=cpus)) as made,
    ):
        yield made


def _line(program: process.Supervised, timeout_s: float) -> str:
    """The first line that a program prints; empty if it ends or `timeout_s` pass before."""
    ready, _, _ = select.select([program.stdout], [], [], timeout_s)
    return program.stdout.readline().decode().strip() if ready else ""


def _first(said: str) -> str:
    """The first line; what follows is a trace of the Go runtime."""
    return next(iter(said.strip().splitlines()), "")


def _no_such_program(said: str) -> str:
    """Why a command did not begin in a sandbox that lives; empty if that was not it."""
    found = _NO_PROGRAM.search(said)
    return found["why"] if found else ""


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _specification(argv: Sequence[str], work: Path, *, own_network: bool) -> dict[str, object]:
    """An OCI runtime specification: empty read-only root, /proc, a tmpfs at /tmp, our folder at /work."""
    namespaces = ("pid", *(("network",) if own_network else ()), "ipc", "uts", "mount")
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
        "linux": {"namespaces": [{"type": kind} for kind in namespaces]},
    }
