"""Builds the probe on first use with the machine's compiler; cached by the hash of source, command and compiler.

So is each object, by the hash of its preprocessed source: a probe with another define, as one with a planted fault, or
after a change of one file, is made of what is there and of what is really another.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchproof.errors import NotSupported
from benchproof.model import Frozen

_HERE = Path(__file__).parent
_SOURCES = (
    "probe.h",
    "probe.c",
    "primitives.c",
    "files.c",
    "ipc.c",
    "ring.c",
    "scaling.c",
    "privileged.c",
    "place.c",
    "disk.c",
    "rootfs.c",
    "startup.c",
    "planted.c",
    "authority.c",
    "smoke.c",
    "http.h",
    "http.c",
    "http_tls.c",
    "mcp.c",
    "pack.c",
    "labels.c",
    "exhaust.c",
    "agent.c",
)
_LINKER_ALONE = "-static"  # a clang that does not link complains of it
_FLAGS = ("-std=c11", "-O2", _LINKER_ALONE, "-Wall", "-Wextra", "-Werror", "-pthread")
_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243}  # architecture -> e_machine of an ELF header
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}  # where Debian's word for it is another
_TLS = ("mbedtls", "mbedx509", "mbedcrypto")  # in the order in which they are linked
_TLS_MISSING = "apt-get install gcc libc6-dev libmbedtls-dev"
_BUILD_TIMEOUT_S = 300.0  # `zig cc` builds its C library first


class Probe(Frozen, frozen=True):
    """A built probe, and the facts that belong into the envelope."""

    path: Path
    facts: dict[str, str]


def build_with_tls(cache: Path) -> Probe:
    """The probe for this host that also speaks TLS: larger, so not the usual one. Raises NotSupported."""
    try:
        return build(cache, defines=("WITH_TLS",), libraries=_TLS)
    except NotSupported as error:
        raise NotSupported(f"https needs a probe with TLS: {error.reason}", missing=_TLS_MISSING) from error


def build(
    cache: Path,
    *,
    architecture: str = platform.machine(),
    defines: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Probe:
    """The probe for `architecture` (as `uname -m` says it), built with the first compiler that can.

    Raises NotSupported with each compiler's own words if none can. Source: the files beside this module.
    """
    failures = []
    for compiler in _compilers(architecture, musl=not libraries):
        flags = [*_FLAGS, *(f"-D{define}" for define in defines)]
        try:
            built = _build_with(compiler, flags, cache, libraries)
        except subprocess.SubprocessError as error:
            words = getattr(error, "stderr", b"") or str(error).encode()
            failures.append(f"{' '.join(compiler[:3])}: {words.decode(errors='replace').strip().splitlines()[0][:200]}")
            continue
        if (machine := _machine(built.path)) == _MACHINES.get(architecture, machine):
            return built
        failures.append(f"{' '.join(compiler[:3])}: it builds for another machine (ELF number {machine})")
    raise NotSupported(
        f"no C compiler could build the probe for {architecture} ({'; '.join(failures) or 'none is installed'})",
        missing=_way_to_get(architecture),
    )


def _machine(program: Path) -> int:
    """For which machine an ELF file is, as its header says it."""
    with program.open("rb") as file:
        return int.from_bytes(file.read(20)[18:], "little")


def _way_to_get(architecture: str) -> str:
    if architecture == platform.machine():
        return "apt-get install gcc libc6-dev musl-tools"
    gcc = f"gcc-{architecture.replace('_', '-')}-linux-gnu"
    library = f"libc6-dev-{_DEBIAN.get(architecture, architecture)}-cross"
    return f"apt-get install {gcc} {library}, or pip install ziglang"


def _compilers(architecture: str, *, musl: bool) -> Iterator[list[str]]:
    """Smallest result first: a static musl program starts faster than one with glibc. Debian's libraries need glibc.

    BENCHPROOF_CC names the one for this host; that for another architecture is found by its name.
    """
    native = architecture == platform.machine()
    if native and (named := os.environ.get("BENCHPROOF_CC")):
        if shutil.which(named.split()[0]):
            yield named.split()
        return
    gnu = f"{architecture}-linux-gnu"
    if native and musl and (found := shutil.which("musl-gcc")):
        # musl comes without the kernel's headers; those of the machine are searched last
        yield [found, "-idirafter", "/usr/include", "-idirafter", f"/usr/include/{gnu}"]
    for name in ("cc", "gcc", "clang") if native else (f"{gnu}-gcc",):
        if path := shutil.which(name):
            yield [path]
    if zig := _zig():
        yield [*zig, "cc", "-target", f"{architecture}-linux-musl"]


def _zig() -> list[str]:
    if path := shutil.which("zig"):
        return [path]
    return [sys.executable, "-m", "ziglang"] if importlib.util.find_spec("ziglang") else []


def _build_with(compiler: list[str], flags: list[str], cache: Path, libraries: Sequence[str]) -> Probe:
    command = [*compiler, *flags]
    linked = [f"-l{library}" for library in libraries]
    sources = {name: (_HERE / name).read_bytes() for name in _SOURCES}
    version = _run([*compiler, "--version"]).stdout.decode(errors="replace")  # of `zig cc`, not of `zig`
    version = version.splitlines()[0] if version.strip() else "unknown"
    source_hash = hashlib.sha256(b"".join(sources.values())).hexdigest()
    key = _hash(source_hash, version, *command, *linked)
    path = cache / "probes" / key / "probe"
    binary_hash = _trusted(path) or _make(command, version, sources, path, linked, cache / "objects")
    return Probe(
        path=path,
        facts={
            "source_sha256": source_hash,
            "binary_sha256": binary_hash,
            "compiler": version,
            "command": " ".join([*command, *linked]),
        },
    )


def _trusted(path: Path) -> str:
    """The hash of a build that is still what was built; empty for anything else."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        return found if path.with_name("sha256").read_text() == found else ""
    except OSError:
        return ""


def _make(
    command: list[str], version: str, sources: dict[str, bytes], path: Path, linked: list[str], objects: Path
) -> str:
    """Returns the hash of what was built."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as several,
    ):
        for name, text in sources.items():
            (Path(folder) / name).write_bytes(text)
        names = [name for name in _SOURCES if name.endswith(".c")]
        compiled = list(several.map(partial(_object, command, version, folder, objects), names))
        _run([*command, "-o", "probe", *map(str, compiled), *linked], cwd=folder)
        return _keep(Path(folder) / "probe", path)


def _object(command: list[str], version: str, folder: str, objects: Path, name: str) -> Path:
    """One source, compiled; by an earlier build, if the compiler saw the same text. Defines did their work before."""
    command = [word for word in command if word != _LINKER_ALONE]
    text = _run([*command, "-E", name], cwd=folder).stdout
    words = [word for word in command if not word.startswith("-D")]
    path = objects / _hash(version, *words, hashlib.sha256(text).hexdigest()) / "object.o"
    if not _trusted(path):
        compiled = f"{name}.o"
        _run([*command, "-c", "-o", compiled, name], cwd=folder)
        _keep(Path(folder) / compiled, path)
    return path


def _keep(built: Path, path: Path) -> str:
    """Move it to its place in the cache, and beside it its hash, which is returned."""
    found = hashlib.sha256(built.read_bytes()).hexdigest()
    noted = built.with_name(f"{built.name}.sha256")
    noted.write_text(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    built.rename(path)  # two builds at once both end with whole files
    noted.rename(path.with_name("sha256"))
    return found


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _run(command: list[str], cwd: str | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, cwd=cwd, check=True, capture_output=True, timeout=_BUILD_TIMEOUT_S, stdin=subprocess.DEVNULL
    )
