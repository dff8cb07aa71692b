"""File systems as files: made from a tree without a mount, and told apart by their own first block.

The same tree gives the same bytes where the tools can: identifiers and times are fixed. A cut or foreign image is
refused here, with a file that the user knows, and not in a guest. Formats: the kernel's
Documentation/filesystems/ext4/super.rst, fs/erofs/erofs_fs.h and fs/squashfs/squashfs_fs.h.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchproof.errors import NotSupported, UsageError
from benchproof.model import Frozen

FORMATS = ("ext4", "erofs", "squashfs", "qcow2")  # what a root can be built as; qcow2 is an ext4 in it
EPOCH_S = 1_767_225_600  # 2026-01-01: the time of whatever would otherwise carry that of its making
_UUID = "b3c0a5de-0000-4000-8000-000000000002"
_SUPER_AT = 1024
_HEAD_BYTES = 2048
_EXT4, _EROFS, _SQUASHFS, _QCOW2 = b"\x53\xef", b"\xe2\xe1\xf5\xe0", b"hsqs", b"QFI\xfb"
_TIMEOUT_S = 900.0
_PROGRAMS = {  # program -> Debian package that brings it
    "mke2fs": "e2fsprogs",
    "mkfs.erofs": "erofs-utils",
    "mksquashfs": "squashfs-tools",
    "qemu-img": "qemu-utils",
    "zstd": "zstd",
    "fakeroot": "fakeroot",
    "mmdebstrap": "mmdebstrap",
}
_MAKES = {
    "ext4": ("mke2fs",),
    "erofs": ("mkfs.erofs",),
    "squashfs": ("mksquashfs",),
    "qcow2": ("mke2fs", "qemu-img"),
}
_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # not in the PATH of every user
# What a tree is unpacked to has the owners that it should have: as root, or as fakeroot remembers them.
_UNPACK = 'set -e; mkdir tree; zstd -dcq "$1" | tar -xp --numeric-owner --exclude="./dev/*" -C tree; shift; exec "$@"'


class Found(Frozen, frozen=True):
    """What the first block of an image says."""

    kind: str  # ext4 | erofs | squashfs
    size_bytes: int  # that it needs at least


def recognise(path: Path) -> Found | None:
    """The file system in a raw image; None if it is none that we know. Raises UsageError for one that is cut."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).ljust(_HEAD_BYTES, b"\0")
        size_bytes = os.fstat(file.fileno()).st_size
    found = _described(head)
    if found and found.size_bytes > size_bytes:
        raise UsageError(
            f"root: the {found.kind} image '{path}' is cut: it says {found.size_bytes} bytes, found {size_bytes}"
        )
    return found


def _described(head: bytes) -> Found | None:
    if head.startswith(_SQUASHFS):
        return Found("squashfs", struct.unpack_from("<Q", head, 40)[0])
    if head[_SUPER_AT : _SUPER_AT + 4] == _EROFS:
        bits, (blocks,) = head[_SUPER_AT + 12], struct.unpack_from("<I", head, _SUPER_AT + 36)
        return Found("erofs", blocks << min(bits, 16))
    if head[_SUPER_AT + 56 : _SUPER_AT + 58] == _EXT4:
        blocks, shift = struct.unpack_from("<I", head, _SUPER_AT + 4)[0], head[_SUPER_AT + 24]
        return Found("ext4", blocks * (1024 << min(shift, 6)))
    return None


def maker(form: str, size_bytes: int) -> str:
    """A short hash of all that an image follows from beside its tree: the tools of this machine and their options."""
    names = needed(form)
    paths = {name: _which(name) or name for name in names}
    files = [Path(path).stat() for path in paths.values() if Path(path).is_absolute()]
    said = [form, *_command(form, dict.fromkeys(names, ""), Path("image"), size_bytes), *paths]
    told = json.dumps([said, [(each.st_size, each.st_mtime_ns) for each in files]])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _which(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))


def program(name: str) -> str:
    """Where it lies. Raises NotSupported with the command that installs it."""
    path = _which(name)
    if path is None:
        raise NotSupported(f"'{name}' is not installed", missing=f"apt-get install {_PROGRAMS.get(name, name)}")
    return path


def needed(form: str) -> tuple[str, ...]:
    """The programs that make an image of that format out of a packed tree."""
    return ("zstd", *_MAKES[form], *(() if os.geteuid() == 0 else ("fakeroot",)))


def make(packed: Path, image: Path, *, form: str, size_bytes: int) -> None:
    """The tree in `packed` (tar, zstd) as a file system. `size_bytes` is of one that is written to.

    Raises NotSupported, whatever goes wrong: no tool, no room.
    """
    paths = {name: program(name) for name in needed(form)}
    raw = image.with_name(f"{image.name}.raw") if form == "qcow2" else image
    command = _command(form, paths, raw, size_bytes)
    wrapped = [] if os.geteuid() == 0 else [paths["fakeroot"], "--"]
    run([*wrapped, "/bin/sh", "-c", _UNPACK, "sh", str(packed), *command], folder=image.parent)
    shutil.rmtree(image.parent / "tree", ignore_errors=True)
    if raw != image:
        run([paths["qemu-img"], "convert", "-O", "qcow2", str(raw), str(image)], folder=image.parent)
        raw.unlink()


def make_empty(image: Path, size_bytes: int) -> None:
    """An ext4 without a file. Raises NotSupported."""
    run(_ext4(program("mke2fs"), image, size_bytes), folder=image.parent)


def _command(form: str, paths: dict[str, str], image: Path, size_bytes: int) -> list[str]:
    match form:
        case "erofs":
            return [paths["mkfs.erofs"], "-d0", "-zlz4", f"-T{EPOCH_S}", f"-U{_UUID}", str(image), "tree"]
        case "squashfs":
            return [paths["mksquashfs"], "tree", str(image), "-noappend", "-quiet", "-no-progress", "-comp", "lz4"]
        case _:
            return _ext4(paths["mke2fs"], image, size_bytes, "-d", "tree")


def _ext4(mke2fs: str, image: Path, size_bytes: int, *options: str) -> list[str]:
    fixed = ("-U", _UUID, "-E", f"hash_seed={_UUID},lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0")
    return [mke2fs, "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", *fixed, *options, str(image), _kib(size_bytes)]


def _kib(size_bytes: int) -> str:
    return f"{size_bytes >> 10}k"


def run(command: Sequence[str], *, folder: Path) -> str:
    """What a tool prints, with the time fixed. Raises NotSupported with its last words."""
    fixed = {"LC_ALL": "C", "SOURCE_DATE_EPOCH": str(EPOCH_S), "E2FSPROGS_FAKE_TIME": str(EPOCH_S)}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | fixed,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise NotSupported(f"'{_said(command)}' was not done within {_TIMEOUT_S:g} s") from error
    if done.returncode:
        raise NotSupported(f"'{_said(command)}' failed: {_words(done)}", missing=_remedy(done.stderr))
    return done.stdout


def _said(command: Sequence[str]) -> str:
    """The name of the tool that failed, as its user knows it."""
    names = [Path(word).name for word in command]
    return next((name for name in names if name in _PROGRAMS and name != "fakeroot"), names[0])


def _words(done: subprocess.CompletedProcess[str]) -> str:
    """The line that says why: the first that is marked as an error, else the last."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    marked = [line for line in lines if line.startswith("E: ")]
    return (marked or lines[-1:] or [f"exit status {done.returncode}"])[0][:300]


def _remedy(words: str) -> str:
    if "No space left" in words or "could not allocate" in words.lower():
        return "room in the cache folder (XDG_CACHE_HOME) and in TMPDIR, or a larger `disk` in the plan"
    if "resolve" in words or "connect" in words.lower() or "fetch" in words.lower():
        return "a network with the machine's package sources; apt-get update"
    if "Unable to locate package" in words:
        return "in `packages`, names that `apt-cache policy NAME` knows for that release, or the path of a .deb"
    if "unshare" in words or "subuid" in words:
        return "root, or user namespaces with a range in /etc/subuid"
    return ""
