"""A guest's disk: layers of copy-on-write, frozen and cloned with its memory, on a base that stays as it was."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import LabInvalid, NotSupported, StartFailed, UsageError
from benchproof.guest import disk, kernels, snapshot
from benchproof.guest import machine as machines
from benchproof.targets import KINDS
from conftest import copy_snapshot, lab_in

needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
Qemu = KINDS.load("qemu")
SIZE = 8 << 20
# A page and more: their way into a guest is slow.
ONE, OTHER = b"one guest's bytes, and nobody else's." * 120, b"another guest wrote this in its place" * 120


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- what a plan may say ----


def test_a_size_is_an_empty_disk():
    assert disk.parse("64 MiB") == disk.parse(64 << 20) == disk.Disk(size_bytes=64 << 20)


def header(name: str, at: int, content: bytes):
    """A damaged header of a layer that is otherwise whole."""

    def make(folder: Path) -> Path:
        disk.create(folder / name, SIZE)
        with (folder / name).open("r+b") as file:
            file.seek(at)
            file.write(content)
        return folder / name

    return make


def file(content: bytes):
    def make(folder: Path) -> Path:
        (folder / "image").write_bytes(content)
        return folder / "image"

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


WRONG = {
    "nothing": (lambda _: "", "found a folder"),
    "no bytes": (lambda _: 0, "1 MiB to 4 TiB"),
    "no bytes in words": (lambda _: "0 MiB", "1 MiB to 4 TiB"),
    "too large": (lambda _: "5000 GiB", "1 MiB to 4 TiB"),
    "a part of a sector": (lambda _: "1.0001 MiB", "sectors of 512 bytes"),
    "a typo": (lambda _: "64 MB iB", "'64 MiB', or a raw or qcow2 image.*No such file"),
    "an endless name": (lambda _: "x" * 5000, "File name too long"),
    "no number": (lambda _: float("nan"), "No such file"),
    "a folder": (lambda folder: folder, "found a folder"),
    "a pipe": (pipe, "no regular file"),
    "an empty file": (file(b""), "more than 0 bytes"),
    "a cut qcow2": (file(b"QFI\xfb\0\0\0\3"), "cut in its header"),
    "an unknown version": (header("q", 4, struct.pack(">I", 9)), "unknown version"),
    "a strange cluster": (header("q", 20, struct.pack(">I", 99)), "damaged"),
    "a table behind the end": (header("q", 40, struct.pack(">Q", 1 << 40)), "damaged, cut"),
    "on another image": (header("q", 8, struct.pack(">QI", 1024, 4)), "needs another file.*qemu-img convert"),
    "encrypted": (header("q", 32, struct.pack(">I", 2)), "is encrypted"),
    "data elsewhere": (header("q", 72, struct.pack(">Q", 4)), "has its data elsewhere"),
    "no size": (header("q", 24, struct.pack(">Q", 0)), "more than 0 bytes"),
    "an absurd size": (header("q", 24, struct.pack(">Q", 1 << 62)), "at most 4 TiB"),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG)
def test_what_is_no_disk_is_refused_in_one_line(make, words, tmp_path):
    setting = make(tmp_path)
    setting = str(setting) if isinstance(setting, Path) else setting
    with pytest.raises(UsageError, match=words) as caught:
        Qemu.Settings(disk=setting).refuse_missing()
    assert "\n" not in str(caught.value)


def test_exact_mode_has_no_disk():
    with pytest.raises(UsageError, match="exact: expected no disk"):
        Qemu.Settings(exact=True, disk="64 MiB")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_whatever_crashes_the_reader(tmp_path_factory, noise):
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(b"QFI\xfb" + noise)
    with contextlib.suppress(UsageError):
        assert 0 < disk.parse(str(path)).size_bytes <= disk.LARGEST_BYTES


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
@pytest.mark.parametrize("size_bytes", [disk.SMALLEST_BYTES, SIZE + 512, disk.LARGEST_BYTES])
def test_a_layer_is_a_whole_qcow2_image_to_qemus_own_tool(size_bytes, tmp_path):
    disk.create(tmp_path / "layer", size_bytes)
    subprocess.run(["qemu-img", "check", tmp_path / "layer"], check=True, capture_output=True)
    found = subprocess.run(["qemu-img", "info", "--output=json", tmp_path / "layer"], check=True, capture_output=True)
    assert msgspec.json.decode(found.stdout)["virtual-size"] == size_bytes


def test_links_are_made_for_all_layers_or_for_none(tmp_path):
    (tmp_path / "layer").write_bytes(b"")
    with pytest.raises(LabInvalid, match="No such file"):
        disk.link([tmp_path / "layer", tmp_path / "gone"], tmp_path / "image")
    assert [path.name for path in tmp_path.iterdir()] == ["layer"]


# ---- guests ----


@pytest.fixture(scope="module")
def blank(host_probe, tmp_path_factory):
    """Guests with an empty disk. What they write is on it when the command that wrote it has ended."""
    return Qemu(Qemu.Settings(accel="tcg", disk=SIZE), lab_in(tmp_path_factory.mktemp("blank"), host_probe.path))


def write(instance, content: bytes) -> None:
    assert instance.run([instance.probe, "save", disk.DEVICE], stdin=content, timeout_s=60).exit_status == 0


def read(instance, size: int = len(ONE)) -> bytes:
    return instance.run([instance.probe, "cat", disk.DEVICE, str(size)], timeout_s=60).stdout


@needs_qemu
def test_clones_find_an_empty_disk_and_write_to_it_alone(blank):
    cached = blank.image().files[-1]
    before = sha256(cached)
    with blank.start() as one, blank.start() as other:
        assert int(one.get("/sys/block/vda/size")) * 512 == SIZE
        write(one, ONE)
        write(other, OTHER)
        assert (read(one), read(other)) == (ONE, OTHER)
        assert one.footprint().disk_bytes > len(ONE)
        with blank.start() as third:
            assert read(third) == bytes(len(ONE))
    assert sha256(cached) == before
    assert not list(blank.lab.scratch.glob("disk-*"))


@needs_qemu
def test_a_fork_of_a_fork_holds_what_both_wrote_though_the_image_between_is_deleted(blank):
    with blank.start() as original:
        write(original, ONE)
        first = original.freeze()
        assert first.size_bytes() == sum(path.stat().st_blocks * 512 for path in first.files) > len(ONE)
        write(original, OTHER)
        with first.start() as fork:
            first.delete()
            assert (first.size_bytes(), read(fork), read(original)) == (0, ONE, OTHER)
            write(fork, OTHER[:1000])
            second = fork.freeze()
        with second.start() as fork, second.start() as beside:
            write(beside, b"!" * 1000)
            assert read(fork) == OTHER[:1000] + ONE[1000:]
            assert read(beside) == b"!" * 1000 + ONE[1000:]
        third = original.freeze()
        assert (read(original), len(third.files)) == (OTHER, 3)
    with third.start() as fork:
        assert read(fork) == OTHER
    second.delete()
    third.delete()
    assert [path.name.partition("-")[0] for path in blank.lab.scratch.iterdir()] == ["initramfs"]


@needs_qemu
def test_what_a_frozen_guest_wrote_lies_in_a_layer_that_is_never_written_again(blank):
    with blank.start() as original:
        write(original, ONE)
        image = original.freeze()
        layer = image.files[-1]
        before = sha256(layer)
        assert ONE[:4096] in layer.read_bytes()
        write(original, OTHER)
        with image.start() as clone:
            write(clone, OTHER)
        assert sha256(layer) == before
    image.delete()


@needs_qemu
def test_two_guests_never_write_to_one_layer(blank):
    with disk.chain(blank.machine.disk, blank.lab.scratch) as chain:
        start = {"supervisor": blank.lab.probe, "log": blank.lab.log, "timeout_s": 60, "layers": chain.layers}
        with (
            machines.boot(blank.machine, **start),
            pytest.raises(StartFailed, match=r"layer0 of the disk: .*lock"),
            machines.boot(blank.machine, **start),
        ):
            pass


@needs_qemu
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_snapshot_whose_disk_is_damaged_is_not_trusted(blank, damage, tmp_path):
    folder = tmp_path / snapshot.key_of(blank.machine)
    copy_snapshot(blank.image().files[-1].parent, folder)
    assert snapshot._trusted(folder, folder.name)
    (folder / "disk").unlink()
    if damage == "changed":
        disk.create(folder / "disk", SIZE + 512)
    assert snapshot._trusted(folder, folder.name) is None


@pytest.fixture(scope="module")
def workspace(host_probe, tmp_path_factory):
    """Guests whose disk begins as a file system. Its bytes are always the same, so the snapshot of it can be kept."""
    if not (program := shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")):
        pytest.skip("mkfs.ext4 is not installed")
    base = tmp_path_factory.mktemp("base") / "work, space.img"  # QEMU's own syntax gives a comma a meaning
    uuid = "b3c0a5de-0000-4000-8000-000000000001"
    options = ["-q", "-F", "-U", uuid, "-E", f"hash_seed={uuid},lazy_itable_init=0"]
    fixed = os.environ | {"E2FSPROGS_FAKE_TIME": "1700000000"}
    subprocess.run([program, *options, base, "8M"], check=True, capture_output=True, env=fixed)
    lab = lab_in(tmp_path_factory.mktemp("workspace"), host_probe.path)
    return Qemu(Qemu.Settings(accel="tcg", disk=str(base)), lab)


@needs_qemu
def test_a_file_that_was_not_yet_written_to_the_disk_survives_in_memory_and_the_base_stays_as_it_was(
    workspace, tmp_path
):
    base = Path(workspace.settings.disk)
    before = sha256(base)
    (tmp_path / "file").write_bytes(ONE)
    with workspace.start() as original:
        idle = ["save", "/proc/sys/vm/dirty_writeback_centisecs"]
        assert original.run([original.probe, *idle], stdin=b"0", timeout_s=60).exit_status == 0
        path = original.put(tmp_path / "file", "file")
        assert path.startswith(disk.FOLDER)
        image = original.freeze()
        assert ONE[:4096] not in image.files[-1].read_bytes()
        with image.start() as clone:
            assert clone.get(path) == ONE
    image.delete()
    assert sha256(base) == before
    assert workspace.facts()["machine"]["disk_base_sha256"] == before


@needs_qemu
def test_the_benchmark_finds_that_a_workspace_on_the_disk_survives_a_fork(workspace):
    benchmark = BENCHMARKS.load("fork.workspace_survived")().quick()
    observation = benchmark.run(workspace)
    assert list(benchmark.verify(observation)) == []
    assert set(observation.measurements[0].samples) == {1}


@needs_qemu
def test_a_qcow2_base_is_read_through_and_left_as_it_was(blank, lab, tmp_path):
    base = tmp_path / "base.qcow2"
    with blank.start() as author:
        write(author, ONE)
        image = author.freeze()
        shutil.copy(image.files[-1], base)
        image.delete()
    before = sha256(base)
    target = Qemu(Qemu.Settings(accel="tcg", disk=str(base), start="cold"), lab)
    with target.start() as instance:
        assert read(instance) == ONE
        write(instance, OTHER[:1000])
        image = instance.freeze()
    with image.start() as clone:
        assert read(clone) == OTHER[:1000] + ONE[1000:]
    assert sha256(base) == before


@needs_qemu
def test_a_base_that_only_qemu_finds_damaged_or_that_went_away_does_not_start(lab, tmp_path):
    base = header("q", 40, struct.pack(">Q", 3 * 65536 + 8))(tmp_path)
    target = Qemu(Qemu.Settings(accel="tcg", disk=str(base), start="cold"), lab)
    with pytest.raises(StartFailed, match="base of the disk: Active L1 table offset invalid"), target.start():
        pass
    base.unlink()
    with pytest.raises(StartFailed, match=r"base of the disk: .*No such file"), target.start():
        pass
    with pytest.raises(StartFailed, match="cannot read the disk image"):
        target.image()


@needs_qemu
def test_a_kernel_that_does_not_find_the_disk_is_unsupported(lab):
    kernel = kernels.find(Qemu.Settings().kernel, lab.cache).path  # by its path it comes without modules
    target = Qemu(Qemu.Settings(accel="tcg", disk=SIZE, kernel=str(kernel), start="cold"), lab)
    with pytest.raises(NotSupported, match="no /dev/vda") as caught, target.start():
        pass
    assert "debian:PACKAGE" in caught.value.missing
