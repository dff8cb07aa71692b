"""Root file systems for guests with a disk: built from Debian's packages and kept in the cache, or the user's image.

A tree is built once for each recipe and packed; an image of it is made for each format and size. Both are kept by the
hash of all that made them, under a lock, and are there whole or not at all. What a package name means is asked when a
tree is built; its manifest says what that was. An image is used again while it is the file that was written (inode,
size, time of change) or, where that is not certain, while it has the hash that its record says.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchproof.errors import NotSupported, UsageError
from benchproof.guest import bootstrap, filesystems
from benchproof.guest.disk import Disk
from benchproof.guest.disk import parse as parse_disk
from benchproof.model import Frozen

DEBIAN = "debian"
DEFAULT_BYTES = 2 << 30
SMALLEST_BYTES = 64 << 20
CACHE_LIMIT_BYTES = 6 << 30  # blocks in use by all of them; the least recently used go first
_TREE, _MANIFEST, _DRAFT = "tree.tar.zst", "manifest.json", ".new"
_WAY_OUT = "room in, and write access to, the cache folder (XDG_CACHE_HOME)"


class Root(Frozen, frozen=True, kw_only=True):
    """What a guest boots into. Where `below` is read-only and there, `disk` holds what is written above it."""

    kind: str  # of the file system that is mounted: ext4 | erofs | squashfs
    disk: Disk
    below: Disk | None = None
    facts: dict[str, str]


class Manifest(Frozen, frozen=True, kw_only=True):
    """What a tree is, beside it in the cache."""

    recipe: bootstrap.Recipe
    packages: tuple[bootstrap.Package, ...]
    tree_sha256: str


class _Made(Frozen, frozen=True):
    """The record of an image."""

    sha256: str
    identity: tuple[int, ...]


def find(name: str, *, form: str, size_bytes: int, packages: Sequence[str], cache: Path) -> Root:
    """The root of that name, `debian` or a path, built at first use. Raises NotSupported, UsageError."""
    try:
        if name != DEBIAN:
            return _named(Path(name), size_bytes, cache)
        return _debian(form, size_bytes, packages, cache)
    except OSError as error:
        what = f"'{error.filename}': " if error.filename else ""
        raise NotSupported(f"cannot get the root '{name}': {what}{error.strerror}", missing=_WAY_OUT) from error


def size_bytes(setting: str | float) -> int:
    """How large the file system is that is written to. Raises UsageError."""
    disk = parse_disk(setting)
    if disk.base:
        raise UsageError(f"disk: expected the size of the root, such as '2 GiB', found an image: '{setting}'")
    return disk.size_bytes


def refuse_wrong(name: str, *, form: str, packages: Sequence[str]) -> None:
    """Raises UsageError for what this machine does not have, or what is no root."""
    for each in (package for package in packages if "/" in package):
        if not Path(each).is_file():
            raise UsageError(f"packages: expected a package's name or the path of a .deb, found no file: '{each}'")
    if name != DEBIAN:
        if not Path(name).is_file():
            raise UsageError(f"root: expected '{DEBIAN}' or the path of an image, found no file: '{name}'")
        kind = _kind(Path(name), parse_disk(name))
        if form and form not in {kind, parse_disk(name).form}:
            raise UsageError(f"root_format: expected '{kind}', which '{name}' is, found '{form}'")


def readiness(cache: Path) -> tuple[str, str, str]:
    """(level, found, remedy) for an examination of this machine; nothing is built."""
    try:
        for each in ("mmdebstrap", *filesystems.needed("ext4")):
            filesystems.program(each)
        recipe = bootstrap.recipe(())
    except NotSupported as error:
        return "warning", error.reason, error.missing
    known = _manifest(cache / "roots" / _key(recipe))
    if known:
        return "ok", f"{recipe.release} with {len(known.packages)} packages, in the cache", ""
    return "ok", f"can be built from packages of {recipe.release} when it is first used", ""


def _named(path: Path, size_bytes: int, cache: Path) -> Root:
    """The user's own image, which is never written to."""
    disk = parse_disk(str(path))
    kind = _kind(path, disk)
    facts = {"root": "image", "root_format": kind if disk.form == "raw" else disk.form}
    if kind == "ext4":
        return Root(kind=kind, disk=disk, facts=facts)
    return Root(kind=kind, disk=_upper(size_bytes, cache), below=disk, facts=facts)


def _kind(path: Path, disk: Disk) -> str:
    """A qcow2 is taken to hold an ext4: what is in it, only the guest sees."""
    if disk.form == "qcow2":
        return "ext4"
    if found := filesystems.recognise(path):
        return found.kind
    raise UsageError(f"root: expected '{DEBIAN}' or an image of ext4, erofs or squashfs, found neither in '{path}'")


def _debian(form: str, size_bytes: int, packages: Sequence[str], cache: Path) -> Root:
    names = tuple(each for each in packages if "/" not in each)
    archives = tuple(Path(each) for each in packages if "/" in each)
    recipe = bootstrap.recipe(names, [_sha256(path) for path in archives])
    folder = cache / "roots" / _key(recipe)
    manifest = _tree(recipe, folder, archives)
    facts = {
        "root": f"debian {recipe.release}",
        "root_format": form,
        "root_tree_sha256": manifest.tree_sha256,
        "root_packages": str(len(manifest.packages)),
    }
    written = form in {"ext4", "qcow2"}
    name = f"{form}-{size_bytes >> 20}" if written else form
    name = f"{name}-{filesystems.maker(form, size_bytes)}"
    image, sha256 = _image(folder, name, lambda path: _make(folder, path, form, size_bytes))
    size_of_image = size_bytes if written else -(-image.stat().st_size // 512) * 512
    disk = Disk(size_bytes=size_of_image, base=image, form="qcow2" if form == "qcow2" else "raw", sha256=sha256)
    _evict(cache / "roots", keep=folder)
    if written:
        return Root(kind="ext4", disk=disk, facts=facts)
    return Root(kind=form, disk=_upper(size_bytes, cache), below=disk, facts=facts)


def _tree(recipe: bootstrap.Recipe, folder: Path, archives: Sequence[Path]) -> Manifest:
    if known := _manifest(folder):
        os.utime(folder)
        return known
    with _only_one(folder.parent):
        if known := _manifest(folder):  # somebody else built it while we waited
            return known
        with _draft(folder.parent) as draft:
            packages = bootstrap.build(recipe, draft / _TREE, archives=archives)
            manifest = Manifest(recipe=recipe, packages=packages, tree_sha256=_sha256(draft / _TREE))
            (draft / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
    return manifest


def _manifest(folder: Path) -> Manifest | None:
    """Of a tree that is there; None where there is none, or its record is damaged."""
    try:
        found = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
        return found if (folder / _TREE).is_file() else None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _make(folder: Path, path: Path, form: str, size_bytes: int) -> None:
    manifest, packed = _manifest(folder), folder / _TREE
    if manifest is None or _sha256(packed) != manifest.tree_sha256:
        shutil.rmtree(folder, ignore_errors=True)
        raise NotSupported("the tree of a root in the cache was damaged", missing="try again: it is built anew")
    filesystems.make(packed, path, form=form, size_bytes=size_bytes)


def _upper(size_bytes: int, cache: Path) -> Disk:
    """An empty file system for what is written above a root that is read only."""
    name = f"ext4-{size_bytes >> 20}-{filesystems.maker('ext4', size_bytes)}"
    image, sha256 = _image(cache / "roots" / "empty", name, lambda path: filesystems.make_empty(path, size_bytes))
    return Disk(size_bytes=size_bytes, base=image, form="raw", sha256=sha256)


def _image(folder: Path, name: str, make: Callable[[Path], None]) -> tuple[Path, str]:
    """An image of that name and its hash, made now if there is none that is whole."""
    image, record = folder / name, folder / f"{name}.json"
    if known := _trusted(image, record):
        return image, known
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.parent):
        if known := _trusted(image, record):
            return image, known
        with _draft(folder.parent) as draft:
            make(draft / name)
            sha256 = _sha256(draft / name)
            (draft / name).chmod(0o444)
            (draft / name).rename(image)
            _remember(image, record, sha256)
    return image, sha256


def _trusted(image: Path, record: Path) -> str:
    """Its hash, if it is what was written; else nothing."""
    try:
        known = msgspec.json.decode(record.read_bytes(), type=_Made)
        if known.identity == _identity(image):
            return known.sha256
        if known.sha256 != _sha256(image):
            return ""
        _remember(image, record, known.sha256)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return known.sha256


def _remember(image: Path, record: Path, sha256: str) -> None:
    draft = record.with_name(f"{record.name}.new")
    draft.write_bytes(msgspec.json.encode(_Made(sha256, _identity(image))))
    draft.rename(record)


def _identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    draft = folder / _DRAFT
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two that want a root at once build it once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _evict(folder: Path, *, keep: Path) -> None:
    """Throw away the least recently used beyond the limit; a guest that runs keeps its file open."""
    roots = [each for each in folder.iterdir() if each.is_dir() and each.name != _DRAFT]
    used = {each: sum(file.stat().st_blocks * 512 for file in each.iterdir()) for each in roots}
    for each in sorted(roots, key=lambda each: each.stat().st_mtime):
        if sum(used.values()) > CACHE_LIMIT_BYTES and each != keep:
            shutil.rmtree(each, ignore_errors=True)
            del used[each]


def _key(recipe: bootstrap.Recipe) -> str:
    return hashlib.sha256(msgspec.json.encode(recipe)).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
