"""Guests, emulators and caches that fail, in real runs: one clear line each, the console kept, nothing left running.

One run has them all as its targets: each must fail by itself and leave the others alone. An old QEMU is the real one
behind a program of its name, first in the user's PATH, which spoils what it is told: it refuses in its own words.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from benchproof import laboratory
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import LabInvalid, NotSupported
from benchproof.guest import kernels, machine
from benchproof.model import Passed
from benchproof.quantities import Size
from benchproof.store import bundle
from benchproof.targets import KINDS
from conftest import why_unusable
from test_guest import COM1, FOR_EVER, SAY, bare
from test_interrupt import Scene
from test_kernels import bzimage, packed, vmlinux
from test_primitive import outcome as outcome_of

pytestmark = pytest.mark.skipif(bool(why_unusable("qemu")), reason=why_unusable("qemu") or "QEMU runs")
RESET = "mov $0xfe, %al\n mov $0x64, %dx\n outb %al, %dx\n" + FOR_EVER
HELLO = "".join(SAY.format(byte=byte, port=COM1) for byte in b"hello console\n")
NO_INIT = "rdinit=/no/such init=/no/such"

# What is behind `like=` on the guest's command line says which QEMU this is.
OLD_QEMU = """#!{python} -IS
import array, os, re, socket, sys, threading
argv = sys.argv[1:]
like = (re.findall(r"like=(\\S+)", " ".join(argv)) or [""])[0]
if like == "5.2":
    argv[argv.index("-action")] = "-action-of-tomorrow"
if like == "no-pvpanic":
    argv[argv.index("pvpanic")] = "pvpanic-of-tomorrow"
if like == "no-sandbox":
    at = argv.index("-sandbox") + 1
    argv[at] = argv[at].replace("spawn", "spawn-of-tomorrow")
if like == "3.1":  # in between, the name of the capability is changed to one that no QEMU knows
    (at,) = (at for at, word in enumerate(argv) if "id=monitor" in word and word.startswith("socket"))
    ours, theirs = socket.socketpair()
    host = socket.socket(fileno=int(re.findall(r"fd=(\\d+)", argv[at])[0]))
    argv[at] = "socket,fd=%d,id=monitor" % theirs.fileno()
    theirs.set_inheritable(True)
    if os.fork():
        theirs.close()
        def copy(source, sink):
            while data := source.recv(65536):
                sink.sendall(data.replace(b"x-ignore-shared", b"x-ignore-nothing"))
            sink.shutdown(socket.SHUT_WR)
        threading.Thread(target=copy, args=(ours, host), daemon=True).start()
        copy(host, ours)
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]) & 255)
    host.close(); ours.close()
os.execv("{real}", ["{real}", *argv])
"""


class Room(Scene):
    """A scene with a PATH and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.cache = folder / "cache"

    def command(self, *arguments):
        found = super().command(*arguments)
        path = f"{self.programs}:{os.environ['PATH']}"
        return found | {"env": found["env"] | {"PATH": path, "XDG_CACHE_HOME": str(self.cache)}}

    def fill_cache(self) -> Path:
        """Kernels and probes are those of the user, snapshots its own."""
        folder = self.cache / "benchproof"
        folder.mkdir(parents=True)
        for name in ("kernels", "probes"):
            (folder / name).symlink_to(laboratory.cache_folder() / name)
        return folder

    def measure(self, targets, benchmarks):
        """A run; returns the answer of the command line and the run as stored."""
        blocks = [f"[targets.{name}]\nkind = 'qemu'\naccel = 'tcg'\n{more}" for name, more in targets.items()]
        suite = f"[suites.s]\nbenchmarks = {benchmarks}\n"
        text = "\n".join(blocks) + f"\n{suite}[run]\nblocks = 1\nvary = ['system', 'machine']\nquick = true\n"
        tomllib.loads(text)
        (self.folder / "plan.toml").write_text(text)
        done = self.call("run", "--plan", "plan.toml", "--json")
        assert "Traceback" not in done.stderr
        assert (self.processes(), self.scratch()) == ([], [])
        return done, bundle.load(self.run)


def quoted(text: str) -> str:
    return f"arguments = '{text}'"


BROKEN = {  # target -> settings, its one line, what its logs hold
    "never-boots": ("kernel = 'hello'\nstart_timeout = '2 s'", "did not serve within 2 s", b"hello console"),
    "reboots": ("kernel = 'reset'", "ended before it served (exit status 0)", b""),
    "panics": (quoted(NO_INIT), "Kernel panic - not syncing", b"Kernel panic"),
    "panics-in-the-middle": (
        "memory = '96 MiB'\n" + quoted("sysctl.vm.overcommit_memory=1 sysctl.vm.panic_on_oom=1"),
        "the guest is gone: Kernel panic - not syncing: Out of memory",
        b"Kernel panic",
    ),
    "exact-panics": (
        f"exact = true\n{quoted(NO_INIT)}",
        "ended before it froze itself (exit status 0)",
        b"Kernel panic",
    ),
    "exact-reboots": ("exact = true\nkernel = 'reset'", "ended before it froze itself (exit status 0)", b""),
    "exact-does-not-freeze": (  # what follows is for init's arguments, not for its environment
        f"exact = true\nstart_timeout = '4 s'\n{quoted('--')}",
        "did not freeze itself within 4 s (QEMU's monitor fell silent)",
        b"Linux version",
    ),
    "no-capability": (quoted("like=3.1"), "this QEMU cannot freeze guests: QEMU refused", b"Linux version"),
    "no-action": (f"exact = true\n{quoted('like=5.2')}", "-action-of-tomorrow: invalid option", b"invalid option"),
    "no-device": (f"exact = true\n{quoted('like=no-pvpanic')}", "is not a valid device model name", b"valid device"),
    "no-sandbox": (quoted("like=no-sandbox"), "Invalid parameter 'spawn-of-tomorrow'", b"Invalid parameter"),
    "no-kernel": ("kernel = 'noise'", "neither an ELF file nor a bzImage", None),
    "no-note": ("kernel = 'no-note'", "without a PVH note", None),
    "cut-kernel": ("kernel = 'cut'", "damaged or cut", None),
}
UNSUPPORTED = {"no-capability", "no-kernel", "no-note", "cut-kernel"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """One run of them all."""
    room = Room(tmp_path_factory.mktemp("broken"))
    room.fill_cache()
    real = shutil.which("qemu-system-x86_64")
    old = room.programs / "qemu-system-x86_64"
    old.write_text(OLD_QEMU.format(python=sys.executable, real=real))
    old.chmod(0o755)
    assemble = bare.__wrapped__(room.folder)
    for name, code in (("hello", HELLO + FOR_EVER), ("reset", RESET)):
        assemble(code).rename(room.folder / name)
    (room.folder / "noise").write_bytes(b"not a kernel" * 1000)
    (room.folder / "no-note").write_bytes(vmlinux().replace(b"Xen\0", b"Nex\0"))
    (room.folder / "cut").write_bytes(bzimage(packed(vmlinux(), "gzip"))[:700])
    targets = {name: settings for name, (settings, _, _) in BROKEN.items()}
    done, run = room.measure(targets, "[{name = 'memory.memcpy', size = '200 MiB'}]")
    room.check()
    return done, run


def test_a_run_of_guests_that_all_fail_ends_with_status_1_and_no_figure(broken):
    done, run = broken
    assert done.returncode == 1
    assert json.loads(done.stdout)["statuses"] == {
        "failed": len(BROKEN) - len(UNSUPPORTED),
        "unsupported": len(UNSUPPORTED),
    }
    assert run.manifest.state == "complete"


def test_a_guest_that_fails_says_so_in_one_line_and_its_console_is_kept(broken):
    """One test of them all: tests of their own would be dealt to two workers, and each would start all guests."""
    wrong = {name: trouble for name in BROKEN if (trouble := list(complaints(*broken, name)))}
    assert wrong == {}


def complaints(done, run, name):
    _, words, logged = BROKEN[name]
    (result,) = (each for each in run.results if each.target == name)
    status = "Unsupported" if name in UNSUPPORTED else "Failed"
    if type(result.outcome).__name__ != status:
        yield f"expected {status}, found {result.outcome}"
        return
    line = result.outcome.reason if status == "Unsupported" else " ".join(result.outcome.violations)
    if words not in line or len(line) >= 400 or "\n" in line:
        yield f"expected one line with '{words}', found '{line}'"
    if name != "panics-in-the-middle" and not any(words in said for said in done.stderr.splitlines()):
        yield f"expected '{words}' on standard error, found '{done.stderr}'"
    if logged is None:
        if result.logs != ():
            yield f"expected no logs, found {result.logs}"
    elif not any("console" in log for log in result.logs):
        yield f"expected a console among the logs, found {result.logs}"
    elif not any(logged in (run.path / log).read_bytes() for log in result.logs):
        yield f"expected {logged!r} in the logs, found it in none"


def test_an_old_qemu_that_cannot_freeze_is_told_the_way_out(broken):
    (result,) = (each for each in broken[1].results if each.target == "no-capability")
    assert "x-ignore-nothing" in result.outcome.reason  # QEMU's own words
    assert 'start = "cold"' in result.outcome.missing


# ---- caches ----

MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, flags: int, data: str = "") -> None:
    """Root only; skips where even root may not."""
    if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, data.encode()):
        pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    made.cache.mkdir()
    yield made
    while libc.umount2(str(made.cache).encode(), 0) == 0:
        pass


def protect(folder: Path) -> None:
    """Read-only, also for root, whom permission bits do not stop."""
    mount(str(folder), folder, "", MS_BIND)
    mount("", folder, "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def outcomes(run):
    return {each.target: each.outcome for each in run.results}


NEEDY = {"snapshot": "", "exact": "exact = true"}


def test_a_cache_that_is_read_only_stops_only_what_needs_to_write_there(room, lab):
    """The guest by which it is shown that a snapshot was there and cannot be used is QEMU's doing: see snapshot.py."""
    lab.cache = room.fill_cache()
    kind = KINDS.load("qemu")
    kind(kind.Settings(accel="tcg"), lab).image()
    (room.folder / "image").write_bytes(bzimage(packed(vmlinux(), "gzip")))
    (room.cache / "benchproof" / "kernels").unlink()
    shutil.copytree(laboratory.cache_folder() / "kernels", room.cache / "benchproof" / "kernels", copy_function=os.link)
    protect(room.cache)
    done, run = room.measure(NEEDY | {"unpacked": "kernel = 'image'"}, "['syscall.getpid']")
    assert done.returncode == 3
    found = outcomes(run)
    assert "cannot use a snapshot" in found["snapshot"].reason
    assert "cannot write a snapshot" in found["exact"].reason
    for outcome in found.values():
        assert "Read-only file system" in outcome.reason
        assert "XDG_CACHE_HOME" in outcome.missing
    way_out = kind(kind.Settings(accel="tcg", start="cold"), lab)
    assert isinstance(outcome_of(BENCHMARKS.load("syscall.getpid")().quick(), way_out), Passed)


def test_a_cache_that_is_full_is_unsupported_and_nothing_is_left_of_what_was_begun(room):
    mount("tmpfs", room.cache, "tmpfs", 0, "size=16m")
    folder = room.fill_cache()
    done, run = room.measure(NEEDY, "['syscall.getpid']")
    assert done.returncode == 3
    for outcome in outcomes(run).values():
        assert "cannot write a snapshot: there is no room left" in outcome.reason
        assert "XDG_CACHE_HOME" in outcome.missing
    assert [each.name for each in (folder / "snapshots").iterdir()] == [".lock"]
    assert sum(path.stat().st_blocks for path in (folder / "snapshots").rglob("*")) == 0


def test_a_kernel_for_which_a_full_cache_has_no_room_is_unsupported(room):
    (room.folder / "image").write_bytes(bzimage(packed(vmlinux() + bytes(1 << 20), "gzip")))
    mount("tmpfs", room.cache, "tmpfs", 0, "size=64k")
    with pytest.raises(NotSupported, match="No space left on device") as caught:
        kernels.find(str(room.folder / "image"), room.cache)
    assert "XDG_CACHE_HOME" in caught.value.missing
    assert [path for path in room.cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_cache_without_room_for_the_probe_ends_the_run_in_one_line(room, trouble):
    if trouble == "full":
        mount("tmpfs", room.cache, "tmpfs", 0, "size=8k")
        (room.cache / "rest").write_bytes(bytes(4096))
    else:
        protect(room.cache)
    done = room.call("run", "--targets", "host", "-b", "syscall.getpid")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("benchproof: cannot write to the cache '")
    assert (room.processes(), room.scratch()) == ([], [])


def test_a_verdict_on_kvm_that_cannot_be_kept_is_still_a_verdict(room, lab):
    kind = KINDS.load("qemu")
    huge = kind(kind.Settings(memory=Size(1 << 42), accel="tcg"), lab).machine  # QEMU gives up at once
    protect(room.cache)
    assert "/dev/kvm" in machine.kvm_verdict(huge, supervisor=lab.probe, cache=room.cache)


def test_a_full_temporary_folder_is_the_laboratory_s_fault_and_ends_no_guest(room, host_probe):
    mount("tmpfs", room.cache, "tmpfs", 0, "size=1m")
    lab = laboratory.Room(scratch=room.cache, probe=host_probe.path)
    kind = KINDS.load("qemu")
    target = kind(kind.Settings(accel="tcg"), lab)
    with target.start() as instance:
        (room.cache / "rest").write_bytes(bytes((1 << 20) - (room.cache.stat().st_size + (300 << 10))))
        with pytest.raises(LabInvalid, match="No space left on device; make room or set TMPDIR"):
            instance.freeze()
    assert [path.name for path in room.cache.glob("image-*")] == []
