"""Kernels by name: fetched, unpacked, refused in one line, and booted: Debian's own, for two machines."""

from __future__ import annotations

import functools
import gzip
import json
import lzma
import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchproof import laboratory, probe
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import NotSupported
from benchproof.guest import debian, hardware, images, initramfs, kernels, machine, modules
from benchproof.guest.architecture import AARCH64, ARCHITECTURES
from benchproof.targets import KINDS

# ---- images: real headers around small kernels of our own ----


def vmlinux(*, note: bool = True, number: int = 62) -> bytes:
    """An ELF file of 64 bits whose only segment is the PVH note, and bytes that compress a little."""
    content = struct.pack("<III4sQ", 4, 8, 18 if note else 1, b"Xen\0", 0x100_0000)
    head = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, number, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    segment = struct.pack("<IIQQQQQQ", 4, 4, 64 + 56, 0, 0, len(content), len(content), 4)
    return head + segment + content + b"".join(struct.pack("<I", n * n % 9973) for n in range(50_000))


def bzimage(payload: bytes, *, flags: int = 1, version: int = 0x20F) -> bytes:
    """A boot sector and setup as boot.rst lays them out, four sectors of setup, then the payload."""
    head = bytearray(5 * 512)
    head[0:2], head[0x1F1], head[0x1FE:0x200], head[0x202:0x206] = b"MZ", 4, b"\x55\xaa", b"HdrS"
    struct.pack_into("<H", head, 0x206, version)
    struct.pack_into("<H", head, 0x236, flags)
    struct.pack_into("<II", head, 0x248, 0x200, len(payload))
    return bytes(head) + bytes(0x200) + payload + b"what follows the payload"


def flat(magic: bytes = b"ARM\x64") -> bytes:
    return bytes(56) + magic + bytes(4) + b"kernel" * 10_000


def packed(content: bytes, how: str) -> bytes:
    """As the kernel's Makefile does it: scripts/Makefile.lib, cmd_lz4_with_size and its kin."""
    size = struct.pack("<I", len(content))
    if how == "gzip":
        return gzip.compress(content)  # its own last four bytes are the size
    if how == "xz":
        return lzma.compress(content, check=lzma.CHECK_CRC32) + size
    if not shutil.which(how):
        pytest.skip(f"{how} is not installed")
    command = {"lz4": ["lz4", "-l", "-9"], "zstd": ["zstd", "-19"]}[how]
    return subprocess.run([*command, "-c", "-q"], input=content, capture_output=True, check=True).stdout + size


EACH = pytest.mark.parametrize("how", ["lz4", "zstd", "xz", "gzip"])


@EACH
def test_the_vmlinux_in_a_bzimage_is_found_to_the_last_byte(how):
    assert images.bootable(bzimage(packed(vmlinux(), how))) == images.Image(
        content=vmlinux(), architecture="x86_64", form="vmlinux"
    )


@EACH
def test_a_payload_that_is_cut_or_damaged_is_refused(how):
    whole = packed(vmlinux(), how)
    for broken in (whole[: len(whole) // 2], whole[:-4] + struct.pack("<I", 7)):
        with pytest.raises(NotSupported, match="damaged or cut"):
            images.bootable(bzimage(broken))


def test_a_bzimage_that_ends_before_its_payload_does_is_refused():
    with pytest.raises(NotSupported, match="its header promises"):
        images.bootable(bzimage(packed(vmlinux(), "xz"))[:20_000])


@pytest.mark.parametrize("payload", [b"BZh9 a stream that we cannot unpack", packed(vmlinux(note=False), "gzip")])
def test_a_bzimage_whose_payload_cannot_be_started_is_started_itself(payload):
    assert images.bootable(bzimage(payload)).form == "bzImage"


@pytest.mark.parametrize(("magic", "architecture"), [(b"ARM\x64", "aarch64"), (b"RSC\x05", "riscv64")])
def test_an_image_says_for_which_machine_it_is(magic, architecture):
    for image in (flat(magic), gzip.compress(flat(magic))):
        assert images.bootable(image) == images.Image(content=flat(magic), architecture=architecture, form="Image")


@EACH
def test_the_image_in_an_efi_zboot_file_is_found(how):
    payload = packed(flat(), how)
    head = b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + bytes(8) + how.encode().ljust(32, b"\0") + bytes(8)
    assert images.bootable(head + payload + b"what follows") == images.Image(
        content=flat(), architecture="aarch64", form="Image"
    )


WRONG = {
    "empty": (b"", "found an empty file"),
    "text": (b"not a kernel" * 1000, "neither an ELF file nor a bzImage nor an arm64 or riscv64 Image"),
    "gzip of text": (gzip.compress(b"not a kernel" * 1000), "neither an ELF file"),
    "no PVH note": (vmlinux(note=False), "without a PVH note.*bzImage"),
    "a cut vmlinux": (vmlinux()[:100], "damaged or cut"),
    "an arm64 vmlinux": (vmlinux(number=183), "ELF file for aarch64; expected one for x86_64.*Image"),
    "a s390 vmlinux": (vmlinux(number=22), "ELF file for s390; expected one for x86_64"),
    "32 bits": (bzimage(packed(vmlinux(), "gzip"), flags=0), "bzImage of 32 bits"),
    "a program": (
        Path("/bin/true").read_bytes(),
        "without a PVH note" if platform.machine() == "x86_64" else "ELF file for",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_no_such_kernel_is_refused_in_one_line_that_says_what_it_is(what, tmp_path):
    content, words = WRONG[what]
    (tmp_path / "image").write_bytes(content)
    with pytest.raises(NotSupported, match=words) as caught:
        kernels.find(str(tmp_path / "image"), tmp_path / "cache")
    assert caught.value.missing
    assert "\n" not in str(caught.value)


WHOLE = (vmlinux()[:8000], bzimage(gzip.compress(vmlinux()[:8000])), flat()[:4000])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3000))
@example(bytes(10) + b"\x80", 29)  # an offset of more than 63 bits
def test_no_bytes_whatever_crash_the_reader_of_images(noise, at):
    for whole in WHOLE:
        broken = whole[:at] + noise + whole[at + len(noise) :]
        try:
            images.bootable(broken)
        except NotSupported as error:
            assert str(error)


def test_what_was_unpacked_is_kept_and_never_trusted_when_it_changed(tmp_path):
    image = tmp_path / "bzImage"
    image.write_bytes(bzimage(packed(vmlinux(), "gzip")))
    first = kernels.find(str(image), tmp_path)
    before = first.path.stat().st_ino
    assert kernels.find(str(image), tmp_path) == first
    assert first.path.stat().st_ino == before
    first.path.write_bytes(first.path.read_bytes()[:-1] + b"?")
    assert kernels.find(str(image), tmp_path).path.read_bytes() == vmlinux()
    first.path.unlink()
    assert kernels.find(str(image), tmp_path).path.read_bytes() == vmlinux()


def test_a_kernel_by_path_that_needs_no_unpacking_stays_where_it_is(tmp_path):
    (tmp_path / "vmlinux").write_bytes(vmlinux())
    assert kernels.find(str(tmp_path / "vmlinux"), tmp_path / "cache").path == tmp_path / "vmlinux"
    assert not (tmp_path / "cache").exists()


# ---- an apt of our own: its packages are made here, and it says what it was asked ----

APT = """#!/bin/sh
echo "${0##*/} $*" >> "$ARCHIVE/asked"
for last; do :; done
name=${last%%=*}
case "${0##*/} $*" in
    "dpkg --print-architecture") echo amd64 ;;
    *update*) [ ! -e "$ARCHIVE/offline" ] || { echo "E: no network" >&2; exit 100; } ;;
    *pkgnames*) cat "$ARCHIVE/names" 2>/dev/null ;;
    *show*) cat "$ARCHIVE/$name.txt" 2>/dev/null || { echo "E: No packages found" >&2; exit 100; } ;;
    *download*) cp "$ARCHIVE/$name.deb" "${name}_1_amd64.deb" ;;
esac
"""
needs_dpkg_deb = pytest.mark.skipif("not __import__('shutil').which('dpkg-deb')", reason="dpkg-deb is not installed")


class Archive:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()

    def describe(self, name: str, depends: str = "kmod, linux-base (>= 4.3~)") -> None:
        (self.folder / f"{name}.txt").write_text(f"Package: {name}\nVersion: 1\nDepends: {depends}\n\n")
        with (self.folder / "names").open("a") as names:
            names.write(f"{name}\n")

    def hold(self, name: str, files: dict[str, bytes]) -> None:
        self.describe(name)
        tree = self.folder / f"{name}.tree"
        control = f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@b.c>\nDescription: a kernel\n"
        for path, content in (files | {"DEBIAN/control": control.encode()}).items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content)
        command = ["dpkg-deb", "-Zgzip", "-b", tree, self.folder / f"{name}.deb"]
        subprocess.run(command, check=True, capture_output=True)

    def asked(self) -> list[str]:
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Archive:
    made = Archive(tmp_path / "archive")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "apt-cache", "dpkg"):
        (programs / name).write_text(APT)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("ARCHIVE", str(made.folder))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return made


def module(depends: str) -> bytes:
    """An ELF file with three sections: none, the names of sections, .modinfo."""
    names, info = b"\0.shstrtab\0.modinfo\0", f"license=GPL\0depends={depends}\0name=x\0".encode()
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 1)
    places = [(0, 0, 0), (1, 256, len(names)), (11, 256 + len(names), len(info))]
    return head + b"".join(struct.pack("<I20xQQ24x", *place) for place in places) + names + info


def release(**module_files: bytes) -> dict[str, bytes]:
    """The files of a kernel package."""
    at = "lib/modules/1/kernel/drivers"
    image = bzimage(packed(vmlinux(), "gzip"))
    return {"boot/vmlinuz-1": image} | {f"{at}/{name.replace('__', '.')}": each for name, each in module_files.items()}


@needs_dpkg_deb
def test_a_meta_package_of_several_levels_leads_to_the_image(archive, tmp_path):
    archive.hold("linux-image-6.99.1+deb12-cloud-amd64", release())
    archive.describe("linux-image-6.99-cloud-amd64", "linux-image-6.99.1+deb12-cloud-amd64 (= 1)")
    archive.describe("linux-image-cloud-amd64", "linux-image-6.99-cloud-amd64")
    found = kernels.find("debian:linux-image-cloud-amd64", tmp_path / "cache")
    assert found.path.read_bytes() == vmlinux()
    assert found.facts["kernel_package"] == "linux-image-6.99.1+deb12-cloud-amd64_1_amd64"
    assert "apt-get -q download linux-image-6.99.1+deb12-cloud-amd64=1" in archive.asked()


@needs_dpkg_deb
def test_a_kernel_is_fetched_once_and_again_when_a_file_of_it_is_damaged_or_gone(archive, tmp_path):
    archive.hold("linux-image-1-amd64", release(virtio_pci__ko=module("")))
    find = functools.partial(kernels.find, "debian:linux-image-1-amd64", tmp_path / "cache")
    first = find()
    (asked,) = {len(archive.asked()) for _ in range(3) if find() == first}
    for damage in (
        lambda: first.path.write_bytes(b"\x7fELF"),
        first.path.unlink,
        lambda: first.modules[0].write_bytes(b""),
        lambda: (tmp_path / "cache/kernels/linux-image-1-amd64.json").write_text('{"kernel": 1'),
    ):
        damage()
        assert find() == first
        assert first.path.read_bytes() == vmlinux()
        assert len(archive.asked()) > asked
        asked = len(archive.asked())


@needs_dpkg_deb
def test_a_version_is_asked_for_and_kept_apart(archive, tmp_path):
    archive.hold("linux-image-1-amd64", release())
    for name in ("linux-image-1-amd64=1", "linux-image-1-amd64"):
        kernels.find(f"debian:{name}", tmp_path)
        assert f"apt-get -q download {name}" in archive.asked()
        assert json.loads((tmp_path / "kernels" / f"{name}.json").read_bytes())["hashes"]


@needs_dpkg_deb
def test_modules_for_a_disk_come_in_the_order_in_which_they_load(archive, tmp_path):
    files = release(
        virtio_blk__ko__xz=lzma.compress(module("virtio,virtio_ring"), check=lzma.CHECK_CRC32),
        **{"virtio__ko": module("virtio_ring"), "virtio-ring__ko": module("")},
        virtio_pci__ko__gz=gzip.compress(module("virtio")),
        unrelated__ko=module("virtio"),
    )
    archive.hold("linux-image-1-amd64", files)
    found = kernels.find("debian:linux-image-1-amd64", tmp_path)
    assert list(kernels.module_files(found)) == [
        "00-virtio_ring.ko",
        "01-virtio.ko",
        "02-virtio_pci.ko",
        "03-virtio_blk.ko",
    ]
    assert all(content.startswith(b"\x7fELF") for content in kernels.module_files(found).values())


def test_modules_that_need_each_other_end_and_a_damaged_one_is_refused(tmp_path):
    (tmp_path / "a.ko").write_bytes(module("b"))
    (tmp_path / "b.ko").write_bytes(module("a"))
    assert list(modules.needed(tmp_path.iterdir(), ("a", "nowhere"))) == ["b", "a"]
    (tmp_path / "a.ko").write_bytes(module("b")[:100])
    with pytest.raises(NotSupported, match="module is damaged"):
        modules.needed(tmp_path.iterdir(), ("a",))


@needs_dpkg_deb
def test_a_package_that_is_cut_is_refused_in_one_line(archive, tmp_path):
    archive.hold("linux-image-1-amd64", release())
    whole = (archive.folder / "linux-image-1-amd64.deb").read_bytes()
    for size in (0, 10, len(whole) // 2):
        (archive.folder / "linux-image-1-amd64.deb").write_bytes(whole[:size])
        with pytest.raises(NotSupported, match="dpkg-deb -x' failed") as caught:
            kernels.find("debian:linux-image-1-amd64", tmp_path / "cache")
        assert "whole package" in caught.value.missing
    assert not (tmp_path / "cache/kernels").exists()


@needs_dpkg_deb
def test_a_package_without_a_kernel_is_refused(archive, tmp_path):
    archive.hold("zstd", {"usr/bin/zstd": b""})
    with pytest.raises(NotSupported, match="holds no boot/vmlinuz"):
        kernels.find("debian:zstd", tmp_path)


@needs_dpkg_deb
def test_what_apt_does_not_know_is_said_with_what_to_do(archive, tmp_path):
    find = functools.partial(kernels.find, cache=tmp_path)
    with pytest.raises(NotSupported, match="its lists of packages are missing") as caught:
        find("debian:linux-image-cloud-amd64")
    assert caught.value.missing == "apt-get update"
    with pytest.raises(NotSupported, match="offer no kernel for riscv64"):
        find("debian:linux-image-riscv64")
    archive.describe("linux-image-amd64")
    with pytest.raises(NotSupported, match="knows no package 'linux-image-cloud-amd64'") as caught:
        find("debian:linux-image-cloud-amd64")
    assert caught.value.missing.startswith("apt-get update; then look: apt-cache policy linux-image-cloud-amd64")
    archive.describe("linux-image-a-amd64", "linux-image-a-amd64")
    with pytest.raises(NotSupported, match="more than 5 levels"):
        find("debian:linux-image-a-amd64")
    (archive.folder / "offline").write_bytes(b"")
    with pytest.raises(NotSupported, match="'apt-get update' failed: E: no network"):
        find("debian:linux-image-arm64")


@needs_dpkg_deb
def test_only_a_foreign_architecture_gets_lists_of_its_own(archive, tmp_path):
    archive.hold("linux-image-1-amd64", release())
    archive.hold("linux-image-1-arm64", {"boot/vmlinuz-1": flat()})
    assert kernels.find("debian:linux-image-1-amd64", tmp_path / "cache").architecture == "x86_64"
    assert not any("update" in asked for asked in archive.asked())
    assert kernels.find("debian:linux-image-1-arm64", tmp_path / "cache").architecture == "aarch64"
    private = f"apt-get -c {tmp_path / 'cache/apt/arm64/apt.conf'} -q"
    assert next(asked for asked in archive.asked() if asked.startswith(private)) == f"{private} update"


@pytest.mark.parametrize(
    ("package", "architecture"),
    [
        ("linux-image-6.1.0-50-cloud-amd64", "amd64"),
        ("linux-image-rt-amd64=6.1.176-1", "amd64"),
        ("linux-image-6.12-arm64-16k", "arm64"),
        ("linux-image-6.12.117+deb12-cloud-arm64-unsigned", "arm64"),
        ("linux-image-riscv64", "riscv64"),
        ("linux-image-686=1-amd64", ""),
    ],
)
def test_the_name_of_a_package_tells_its_architecture(package, architecture):
    assert debian.named_architecture(package) == architecture


# ---- the probe for another machine ----


def test_a_compiler_for_the_wrong_machine_is_not_believed(tmp_path, monkeypatch):
    native = shutil.which("cc") or pytest.skip("cc is not installed")
    foreign = "riscv64" if platform.machine() != "riscv64" else "x86_64"
    (tmp_path / f"{foreign}-linux-gnu-gcc").write_text(f'#!/bin/sh\nexec {native} "$@" -O0\n')  # sooner
    (tmp_path / f"{foreign}-linux-gnu-gcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(NotSupported, match="builds for another machine") as caught:
        probe.build(tmp_path / "cache", architecture=foreign)
    assert "pip install ziglang" in caught.value.missing


# ---- Debian's own kernels, booted ----


@functools.cache
def why_not(name: str) -> str:
    """Why this kernel cannot be had or started here; empty if it can."""
    try:
        found = kernels.find(name, laboratory.cache_folder())
        hardware.emulator_version(ARCHITECTURES[found.architecture])
        probe.build(laboratory.cache_folder(), architecture=found.architecture)
    except NotSupported as error:
        return str(error)
    return ""


def guest(lab, name: str, **settings):
    if reason := why_not(name):
        pytest.skip(reason)
    kind = KINDS.load("qemu")
    return kind(kind.Settings(kernel=name, accel="tcg", **settings), lab)


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("linux-image-6.12-cloud-amd64", b"Linux version 6.12"),  # ZSTD
        ("linux-image-rt-amd64", b"PREEMPT_RT"),  # XZ; the default kernel, started by every other test, is LZ4
    ],
)
def test_a_kernel_of_another_version_or_flavour_boots(package, words, lab):
    with guest(lab, f"debian:{package}", start="cold").start() as instance:
        assert words in instance.get("/proc/version")


ARM64 = "debian:linux-image-cloud-arm64"


def test_an_arm64_guest_is_started_from_a_snapshot_and_measured_by_a_probe_of_its_own(lab):
    target = guest(lab, ARM64)
    facts = target.facts()
    assert "arm64" in facts["system"]["kernel"]
    assert facts["system"]["command"].startswith("qemu-system-aarch64 ")
    assert facts["system"]["probe_binary_sha256"]
    with target.start() as one, target.start() as other:
        assert one.get("/proc/sys/kernel/random/boot_id") == other.get("/proc/sys/kernel/random/boot_id")
        assert (
            one.run([one.probe, "cat"], stdin=bytes(range(256)) * 100, timeout_s=60).stdout == bytes(range(256)) * 100
        )
    benchmark = BENCHMARKS.load("syscall.getpid")().quick()
    assert list(benchmark.verify(benchmark.run(target))) == []


def test_an_arm64_guest_is_no_business_of_kvm_nor_of_exact_mode(lab):
    target = guest(lab, ARM64)
    if platform.machine() != "aarch64":
        why = machine.kvm_verdict(target.machine, supervisor=lab.probe, cache=lab.cache)
        assert f"not {AARCH64.name}" in why
    with pytest.raises(NotSupported, match="exact mode"):
        guest(lab, ARM64, exact=True).facts()


# the guests of test_disk.py have those modules of the usual kernel, too
@pytest.mark.parametrize("name", [pytest.param("debian:linux-image-cloud-amd64", marks=pytest.mark.soak), ARM64])
def test_the_modules_of_a_disk_are_loaded_before_the_agent_serves(name, lab, tmp_path):
    target = guest(lab, name, start="cold")
    found = kernels.find(name, lab.cache)
    built = target.foreign_probe.path if target.foreign_probe else lab.probe
    target.machine.initramfs.write_bytes(initramfs.build(built.read_bytes(), kernels.module_files(found)))
    with target.start() as instance:
        loaded = instance.get("/proc/modules").decode()
    assert {line.split()[0] for line in loaded.splitlines()} >= {"virtio_blk", "virtio_pci", "virtio_ring"}


def test_a_riscv64_guest_is_not_started_from_a_snapshot_that_does_not_wake(lab, tmp_path):
    (tmp_path / "Image").write_bytes(flat(b"RSC\x05"))
    kind = KINDS.load("qemu")
    with pytest.raises(NotSupported, match="a frozen riscv64 guest") as caught:
        kind(kind.Settings(kernel=str(tmp_path / "Image")), lab).facts()
    assert caught.value.missing == 'start = "cold" in the plan'


def test_an_emulator_that_is_not_there_is_named_with_the_package_that_brings_it(lab, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    kind = KINDS.load("qemu")
    with pytest.raises(NotSupported, match="qemu-system-aarch64 is not installed") as caught:
        kind(kind.Settings(kernel=ARM64), lab).facts()
    assert caught.value.missing == "apt-get install qemu-system-arm"
