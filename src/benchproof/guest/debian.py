"""Fetches a Debian kernel package as a file, with the machine's own apt; nothing is installed.

A package for a foreign architecture comes from the same sources, by the same keys; its lists lie in the cache, so that
the machine's own apt stays as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchproof.errors import NotSupported

ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64"}  # Debian's word -> that of `uname -m`
_WANTED = re.compile(r"[a-z0-9][a-z0-9.+-]{1,150}(=[A-Za-z0-9][A-Za-z0-9.+~:-]{0,70})?")
_DEPENDENCY = re.compile(r"^Depends:.*?\b(linux-image-[^\s,|()]+)(?: \(= ([^)]+)\))?", re.MULTILINE)
_META_LEVELS = 5
_TIMEOUT_S = 600.0
_HOOKS = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")  # those of the machine need its root and mean its lists
_OTHER = 'set kernel = "PATH" in the plan'


def fetch(wanted: str, *, folder: Path, cache: Path) -> Path:
    """Download PACKAGE or PACKAGE=VERSION, or what that meta-package stands for, to `folder`. Raises NotSupported."""
    if not _WANTED.fullmatch(wanted):
        raise NotSupported(f"'{wanted}' is not the name of a Debian package", missing="debian:PACKAGE[=VERSION]")
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg", "dpkg-deb"))):
        raise NotSupported("Debian kernels are fetched with apt, which is not here", missing=_OTHER)
    architecture, own = named_architecture(wanted), _tool(["dpkg", "--print-architecture"], missing="").strip()
    apt = [] if architecture in {"", own} else _private_apt(architecture, cache / "apt" / architecture)
    package = _image_package(wanted, architecture if apt else "", apt)
    missing = f"apt-get update; apt-get download {package}"
    _tool(["apt-get", *apt, "-q", "download", package], cwd=folder, missing=_OTHER if apt else missing)
    return next(folder.glob("*.deb"))


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the package to `folder`; returns its kernel image. Raises NotSupported."""
    _tool(["dpkg-deb", "-x", str(archive), str(folder)], missing="a whole package: fetch it again")
    images = sorted((folder / "boot").glob("vmlinu[xz]-*"))
    if not images:
        raise NotSupported(
            f"{archive.name} holds no boot/vmlinuz-*",
            missing="name a linux-image package: apt-cache search linux-image",
        )
    return images[0]


def named_architecture(wanted: str) -> str:
    """As Debian says it, by the name of the package; empty where that says nothing."""
    return next((part for part in wanted.partition("=")[0].split("-") if part in ARCHITECTURES), "")


def _private_apt(architecture: str, folder: Path) -> list[str]:
    """Options by which apt keeps to `folder` and to another architecture; the lists there are brought up to date."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "status").write_bytes(b"")
    lines = [
        "#clear APT::Architectures;",
        *(f"#clear APT::Update::{hook};" for hook in _HOOKS),
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        f'Dir::State "{folder}"; Dir::State::Lists "{folder}/lists"; Dir::State::status "{folder}/status";',
        f'Dir::Cache "{folder}"; Dir::Cache::archives "{folder}/archives"; Acquire::Languages "none";',
    ]
    options = ["-c", str(folder / "apt.conf")]
    (folder / "apt.conf").write_text("\n".join(lines) + "\n")
    _tool(["apt-get", *options, "-q", "update"], missing="a network, or " + _OTHER)
    return options


def _image_package(wanted: str, foreign: str, apt: list[str]) -> str:
    """A meta-package such as linux-image-cloud-amd64 depends on the package that holds the image, maybe over others."""
    package = wanted
    for _ in range(_META_LEVELS):
        below = _DEPENDENCY.search(_description(package, foreign, apt))
        if below is None:
            return package
        package = below[1] + (f"={below[2]}" if below[2] else "")
    raise NotSupported(f"'{wanted}' stands for a package that stands for a package: more than {_META_LEVELS} levels")


def _description(package: str, foreign: str, apt: list[str]) -> str:
    done = _run(["apt-cache", *apt, "show", "--no-all-versions", package])
    if done.returncode == 0 and f"Package: {package.partition('=')[0]}\n" in done.stdout:
        return done.stdout
    if _run(["apt-cache", *apt, "pkgnames", "linux-image-"]).stdout:
        search = "; then look: apt-cache policy " + package.partition("=")[0]
        raise NotSupported(
            f"apt knows no package '{package}'", missing=_OTHER if foreign else f"apt-get update{search}"
        )
    if foreign:
        raise NotSupported(f"the package sources of this machine offer no kernel for {foreign}", missing=_OTHER)
    raise NotSupported("apt knows no kernel at all: its lists of packages are missing", missing="apt-get update")


def _tool(command: list[str], *, missing: str, cwd: Path | None = None) -> str:
    done = _run(command, cwd)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        words = next((line for line in lines if line.startswith("E: ")), lines[-1] if lines else f"{done.returncode}")
        raise NotSupported(f"'{Path(command[0]).name} {_verb(command)}' failed: {words[:300]}", missing=missing)
    return done.stdout


def _verb(command: list[str]) -> str:
    """The part of the command that its reader cares for."""
    return " ".join(word for word in command[1:] if not word.startswith("/") and word not in {"-c", "-q"})


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"LC_ALL": "C"},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
