"""Debian packages as files, fetched by the machine's own apt into the cache; nothing is installed here."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from benchproof.errors import NotSupported
from benchproof.model import Frozen

_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,100}(=[A-Za-z0-9][A-Za-z0-9.+~:-]{0,70})?")
_TIMEOUT_S = 300.0
_EXECUTABLE = 0o111
_OTHER = "name a .deb by its path: package = PATH"


class Package(Frozen, frozen=True, kw_only=True):
    """What a .deb says of itself. `programs`: the sha256 of each executable file, by its path when installed."""

    archive: Path
    name: str
    version: str
    programs: dict[str, str]


def find(wanted: str, cache: Path) -> Package:
    """A package by the path of its .deb, or by name, fetched at first use. Raises NotSupported."""
    path = Path(wanted) if "/" in wanted else _fetched(wanted, cache / "packages")
    name, version = _tool("dpkg-deb", "--show", "--showformat=${Package}\n${Version}", str(path)).decode().split("\n")
    programs = _programs(_tool("dpkg-deb", "--fsys-tarfile", str(path)))
    if not programs:
        raise NotSupported(f"the package '{name}' has no program that could be run", missing="package = one that has")
    return Package(archive=path, name=name, version=version, programs=programs)


def _fetched(name: str, folder: Path) -> Path:
    """A name means what it meant when it was fetched, for as long as the cache lives."""
    if not _NAME.fullmatch(name):
        raise NotSupported(f"'{name}' is not the name of a Debian package", missing="NAME, NAME=VERSION or a path")
    kept = folder / f"{name}.deb"
    if kept.is_file():
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            _tool("apt-get", "-q", "download", name, folder=Path(draft))
            return next(Path(draft).glob("*.deb")).rename(kept)
    except (OSError, StopIteration) as error:
        raise NotSupported(f"cannot keep the package '{name}' in the cache: {error}", missing=_OTHER) from error


def _programs(tree: bytes) -> dict[str, str]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
            for each in archive:
                content = archive.extractfile(each) if each.isreg() and each.mode & _EXECUTABLE else None
                if content:
                    found[each.name.removeprefix(".")] = hashlib.sha256(content.read()).hexdigest()
    except tarfile.TarError as error:
        raise NotSupported(f"the package is damaged: {error}", missing=_OTHER) from error
    return found


def _tool(*command: str, folder: Path | None = None) -> bytes:
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, timeout=_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {error.returncode}"]
        raise NotSupported(
            f"'{command[0]}' failed: {words[-1][:200]}", missing=f"apt-get update; or {_OTHER}"
        ) from error
    except (OSError, subprocess.SubprocessError) as error:
        raise NotSupported(f"'{command[0]}' does not answer: {error}", missing=_OTHER) from error
