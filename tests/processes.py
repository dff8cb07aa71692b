"""A target of real processes that can be frozen and cloned, so that faults can be planted in what a guest would do.

An instance is a process of its own with a folder of its own; freezing it copies the folder. Only tests can name it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchproof import process
from benchproof.errors import TargetFailed
from benchproof.model import Completed, Facts, Footprint, Lab
from benchproof.targets.host import FolderInstance, shared_folder

_FOREVER_NS = str(3600 * 10**9)
_INSIDE = "/work"


def own_bytes(pid: int) -> int:
    """Not Pss: all test processes of this machine share the pages of the probe. 0 of a process that ended meanwhile."""
    try:
        words = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(words[words.index("Private_Dirty:") + 1]) << 10 if words else 0


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


class ProcessInstance(FolderInstance):
    def __init__(self, target: Processes, folder: Path, program: process.Supervised, number: int) -> None:
        self._target = target
        self._program = program
        self.number = number  # 1 for the first that was started
        super().__init__(lab=target.lab, folder=folder, inside=_INSIDE)

    @property
    def pids(self) -> tuple[int, ...]:
        """The supervisor and what it supervises."""
        pid = self._program._process.pid
        try:
            return pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            return (pid,)

    @property
    def ended(self) -> bool:
        """Whether it works no more, also before its supervisor has noticed."""
        stats = [Path(f"/proc/{pid}/stat") for pid in self.pids[1:]]
        states = [path.read_text().rpartition(")")[2].split()[0] for path in stats if path.exists()]
        return self._program.wait(0) is not None or not set(states) - {"Z"}

    def die(self) -> None:
        self._program.stop()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if self.ended:
            raise TargetFailed("the instance has ended")
        here = [word.replace(f"{_INSIDE}/", f"{self._folder}/") for word in argv]
        if argv[0] == self.probe:  # its copy may still be open for writing in a child that another thread just forked
            here[0] = str(self._target.lab.probe)
        done = super().run(here, stdin=stdin, timeout_s=timeout_s)
        return self._spoiled(done) if stdin else done

    def _spoiled(self, done: Completed) -> Completed:
        stdout, status = done.stdout, done.exit_status
        match self._target.fault:
            case "answers wrongly":
                stdout = stdout[::-1]
            case "answers an old question" if len(self._target.answers) > 0:
                stdout = self._target.answers[-1]
            case "says nothing":
                stdout = b""
            case "ends with a status":
                status = 3
            case "the second one answers wrongly" if self.number == 2:
                stdout = b"?"
            case "the third one dies after its first answer" if self.number == 3:
                self.die()
        self._target.answers.append(done.stdout)
        return Completed(exit_status=status, stdout=stdout, stderr=done.stderr, elapsed_ns=done.elapsed_ns)

    def footprint(self) -> Footprint:
        files = (self._folder, *self._folder.iterdir())
        memory_bytes = sum(map(own_bytes, self.pids))
        match self._target.fault:
            case "holds nothing":
                return Footprint(processes=(), files=(), memory_bytes=memory_bytes, disk_bytes=0)
            case "memory is not counted":
                memory_bytes = 0
            case "memory is that of the first alone" if self.number > 1:
                memory_bytes = 0
            case "leaves a process" | "leaves a dead process":
                return Footprint(
                    processes=(*self.pids, self._target.stray()), files=files, memory_bytes=memory_bytes, disk_bytes=0
                )
        return Footprint(
            processes=self.pids, files=files, memory_bytes=memory_bytes, disk_bytes=sum(map(blocks, files))
        )

    def freeze(self) -> ProcessImage:
        image = ProcessImage(self._target, self._target.copy(self._folder))
        lost = {"the freeze loses a file": "file", "the freeze loses the workspace": "workspace-byte"}
        match self._target.fault:
            case "the freeze loses a file" | "the freeze loses the workspace":
                (image.folder / lost[self._target.fault]).unlink()
            case "the freeze damages a byte":
                for name in ("file", "workspace-pages"):
                    content = bytearray((image.folder / name).read_bytes())
                    content[-1] ^= 1
                    (image.folder / name).write_bytes(content)
            case "the freeze is an old one" if self._target.images:
                return self._target.images[0]
            case "the original dies":
                self.die()
        self._target.images.append(image)
        return image


class ProcessImage:
    """Tells its files, so that its size can be counted again."""

    def __init__(self, target: Processes, folder: Path, *, kept: bool = False) -> None:
        self._target = target
        self.folder = folder
        self._kept = kept

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.folder, *self.folder.iterdir()) if self.folder.is_dir() else ()

    def start(self) -> contextlib.AbstractContextManager[ProcessInstance]:
        return self._target.started(self.folder)

    def size_bytes(self) -> int:
        match self._target.fault:
            case "the image has no size":
                return 0
            case "the image has its logical size":
                return sum(path.stat().st_size for path in self.files)
        return sum(map(blocks, self.files))

    def delete(self) -> None:
        if self._kept or self._target.fault in {"the freeze is an old one", "the image stays"}:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._target.fault == "the image leaves a file":
            self.folder.touch()


class Processes:
    """`fault` is a sentence of those above and below; without one, all is well."""

    def __init__(self, lab: Lab, fault: str = "") -> None:
        self.lab = lab
        self.fault = fault
        self.answers: list[bytes] = []  # right ones, of all instances
        self.images: list[ProcessImage] = []
        self.alive: list[ProcessInstance] = []
        self.starts = 0
        self._strays: list[subprocess.Popen[bytes]] = []
        self._first: ProcessImage | None = None

    def facts(self) -> Facts:
        return {"machine": {"execution": "native"}, "system": {"kind": "processes"}}

    def start(self) -> contextlib.AbstractContextManager[ProcessInstance]:
        return self.image().start()

    def image(self) -> ProcessImage:
        if self._first is None:
            self._first = ProcessImage(self, self.copy(None), kept=True)
        return self._first

    @contextlib.contextmanager
    def cold(self) -> Iterator[ProcessInstance]:
        requested_ns = time.monotonic_ns()
        with self.started(None) as instance:
            made_ns = time.monotonic_ns() - requested_ns
            phases = {"kernel": made_ns // 3, "init": made_ns // 2, "ready": made_ns}
            match self.fault:
                case "tells no phases":
                    phases = {}
                case "phases run backwards":
                    phases |= {"init": made_ns // 4}
                case "a phase takes no time":
                    phases |= {"init": made_ns // 3}
                case "phases take longer than the start":
                    phases |= {"ready": 2 * made_ns + 10**9}
                case "phases differ" if self.starts > 1:
                    del phases["kernel"]
            if self.fault != "knows no phases":
                instance.phases = phases
            yield instance

    @contextlib.contextmanager
    def started(self, content: Path | None) -> Iterator[ProcessInstance]:
        self.starts += 1
        number = self.starts
        with shared_folder(self.lab) as folder:
            if content is not None:
                shutil.copytree(content, folder, dirs_exist_ok=True)
            probe = self.lab.probe
            with process.Supervised([str(probe), "wait", _FOREVER_NS], supervisor=probe) as program:
                instance = ProcessInstance(self, folder, program, number)
                while len(instance.pids) < 2:
                    time.sleep(0.001)
                if self.fault == "the clone is dead" or (self.fault == "the third one is dead" and number == 3):
                    instance.die()
                self.alive.append(instance)
                try:
                    yield instance
                finally:
                    self.alive.remove(instance)
        if self.fault == "leaves a file":
            folder.mkdir()

    def copy(self, folder: Path | None) -> Path:
        image = self.lab.scratch / f"image-{len(list(self.lab.scratch.glob('image-*')))}-{time.monotonic_ns()}"
        if folder is None:
            image.mkdir()
        else:
            shutil.copytree(folder, image)
        with (image / "memory").open("wb") as file:
            file.truncate(1 << 20)  # a hole: its logical size is not what it takes
        return image

    def stray(self) -> int:
        """A process that an instance started and that its end does not reach."""
        program = subprocess.Popen([self.lab.probe, "wait", _FOREVER_NS])
        self._strays.append(program)
        if self.fault == "leaves a dead process":
            program.kill()
            os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        return program.pid

    def sweep(self) -> None:
        """End what the planted faults left behind."""
        for program in self._strays:
            program.send_signal(signal.SIGKILL)
            program.wait()
