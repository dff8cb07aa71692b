"""Builds the tree of a Debian root file system from packages with mmdebstrap, by this machine's own apt sources.

What was resolved is recorded beside it: each package with its version and the SHA-256 that the signed index of its
source states, by which apt checked it. Nothing of this host goes in but its sources: no names, no proxies.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from benchproof.errors import NotSupported
from benchproof.guest import filesystems
from benchproof.model import Frozen

PACKAGES = ("python3", "nodejs")  # beside those that every Debian has, and apt
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,100}(=[A-Za-z0-9][A-Za-z0-9.+~:-]{0,70})?")
_LEFT_OUT = ("doc/*", "man/*", "info/*", "locale/*")  # of /usr/share: nobody in a guest reads them
_PACKAGES = "benchproof.packages"
_DEBS = "/var/cache/benchproof"
_LIST = (
    'dpkg-query --admindir="$1/var/lib/dpkg" -W -f "\\${Package}=\\${Version}\\n" >"$1/benchproof.names"; '
    f'(cat "$1/benchproof.names"; echo; APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" xargs apt-cache show '
    f'<"$1/benchproof.names" || true) >"$1/{_PACKAGES}"'
)
# nothing of the host's: its name, its resolver, its proxies; what the guest's agent needs is there
_OURS = (
    f'cd "$1" && rm -rf benchproof.names {_PACKAGES} etc/resolv.conf etc/apt/apt.conf.d/99mmdebstrap .{_DEBS} && '
    "echo guest >etc/hostname && echo 127.0.0.1 localhost guest >etc/hosts && "
    "mkdir -p work && : >init && chmod 755 init"
)
_INSTALL = f'chroot "$1" sh -c "apt-get install -qq -y --no-install-recommends {_DEBS}/*.deb"'
_OF_APT = ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/var/lib/apt/lists")  # what its answers come from
_SOURCES = "$(CODENAME)|$(ORIGIN)|$(SOURCESENTRY)"


class Package(Frozen, frozen=True, order=True):
    """One that is in a root. `sha256`: of its .deb, as its source states it; empty if that knows none such."""

    name: str
    version: str
    sha256: str


class Recipe(Frozen, frozen=True, kw_only=True):
    """All that decides what a tree will be, but for the moment at which its sources are asked."""

    release: str  # bookworm
    architecture: str  # as Debian says it
    builder: str  # mmdebstrap and its version
    packages: tuple[str, ...]
    archives: tuple[str, ...] = ()  # sha256 of each .deb that is added
    left_out: tuple[str, ...] = _LEFT_OUT
    steps: tuple[str, ...] = (_LIST, _OURS, _INSTALL)


def recipe(packages: Iterable[str], archives: Sequence[str] = ()) -> Recipe:
    """For this machine. Raises NotSupported where it cannot be built here."""
    mmdebstrap = filesystems.program("mmdebstrap")
    names = tuple(dict.fromkeys((*PACKAGES, *packages)))
    for name in names:
        if not _NAME.fullmatch(name):
            raise NotSupported(
                f"packages: '{name}' is not the name of a Debian package", missing="NAME or NAME=VERSION"
            )
    return Recipe(
        release=_release(),
        architecture=_said("dpkg", "--print-architecture"),
        builder=_said(mmdebstrap, "--version"),
        packages=names,
        archives=tuple(archives),
    )


def build(recipe: Recipe, tree: Path, *, archives: Sequence[Path] = ()) -> tuple[Package, ...]:
    """Write the tree to `tree` (tar, zstd); returns what is in it. Raises NotSupported."""
    words = [
        filesystems.program("mmdebstrap"),
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=apt",
        f"--include={','.join(recipe.packages)}",
        "--dpkgopt=force-unsafe-io",  # it is thrown away if the machine falls
        *(f"--dpkgopt=path-exclude=/usr/share/{each}" for each in recipe.left_out),
        *(f"--aptopt={line}" for line in ('Acquire::Languages "none"', *_proxies())),
        *(f"--customize-hook={hook}" for hook in _hooks(archives)),
        recipe.release,
        str(tree),
        *map(str, _sources(recipe.release)),
    ]
    filesystems.run(words, folder=tree.parent)
    text = (tree.parent / _PACKAGES).read_text(errors="replace")
    return tuple(sorted(packages_in(text)))


def packages_in(text: str) -> list[Package]:
    """What was installed, NAME=VERSION a line, an empty line, then what apt's index says of each."""
    names, _, index = text.partition("\n\n")
    known = {}
    for stanza in index.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|SHA256): (.*)$", stanza, re.MULTILINE))
        known[fields.get("Package"), fields.get("Version")] = fields.get("SHA256", "")
    pairs = [line.partition("=") for line in names.split()]
    return [Package(name, version, known.get((name, version), "")) for name, _, version in pairs]


def _hooks(archives: Sequence[Path]) -> Iterable[str]:
    if archives:
        yield f'mkdir -p "$1{_DEBS}"'
        yield f"copy-in {' '.join(shlex.quote(str(path)) for path in archives)} {_DEBS}"
        yield _INSTALL
    yield _LIST
    yield f"copy-out /{_PACKAGES} ."
    yield _OURS


def _release() -> str:
    """The release whose packages this machine's sources offer. Raises NotSupported."""
    said = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    release = said.get("VERSION_CODENAME", "").strip('"')
    if not release:
        raise NotSupported(
            f"a root is built from the packages of a Debian release, and this is {said.get('PRETTY_NAME', 'none')}",
            missing="build on Debian or Ubuntu, or name an image: root = PATH",
        )
    _sources(release)
    return release


def _sources(release: str) -> list[Path]:
    """The files that name the sources of that release; those of others are left out. Raises NotSupported."""
    filesystems.program("apt-get")
    lines = [line.split("|") for line in _said("apt-get", "indextargets", "--format", _SOURCES).splitlines()]
    entries = [entry for codename, _, entry in lines if codename.partition("-")[0] == release]
    files = dict.fromkeys(Path(entry.rpartition(":")[0]) for entry in entries)
    if not files:
        raise NotSupported(f"apt has no lists of packages of '{release}'", missing="apt-get update")
    return list(files)


def _proxies() -> Iterable[str]:
    """By which this machine reaches its sources; they do not stay in the tree."""
    for scheme in ("http", "https"):
        key = f"Acquire::{scheme}::Proxy"
        line = _said("apt-config", "dump", key).partition("\n")[0]
        if line.startswith(f"{key} "):
            yield line.rstrip(";")


def _said(*command: str) -> str:
    """Asked once, for as long as it would answer the same: apt takes a second for each answer. Raises NotSupported."""
    return _asked(command, os.environ.get("PATH", ""), *map(_changed_ns, _OF_APT))


def _changed_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


@cache
def _asked(command: tuple[str, ...], *_state: str | int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotSupported(f"'{Path(command[0]).name}' does not answer: {error}", missing="a Debian system") from error
    return done.stdout.strip()
