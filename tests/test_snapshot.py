"""Frozen guests: fresh each time, rebuilt when they are not what they were, never in the way of one another."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import msgspec
import pytest

from benchproof import laboratory
from benchproof.errors import NotSupported, StartFailed
from benchproof.guest import hashed, snapshot
from benchproof.targets import KINDS
from conftest import copy_snapshot

pytestmark = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")


@pytest.fixture(scope="module")
def frozen(host_probe, tmp_path_factory):
    """One machine, its snapshot in a cache of its own, and what is needed to start clones.

    It is that of everyone's cache: another boot is made only where one is looked at.
    """
    scratch = tmp_path_factory.mktemp("scratch")
    room = laboratory.Room(scratch=scratch, probe=host_probe.path)
    kind = KINDS.load("qemu")
    machine = kind(kind.Settings(accel="tcg"), room).machine
    cache = tmp_path_factory.mktemp("cache")
    shared = ensure(machine, room.cache, host_probe).ram.parent
    copy_snapshot(shared, cache / "snapshots" / shared.name)
    made = ensure(machine, cache, host_probe)
    return machine, cache, made


def ensure(machine, cache, probe) -> snapshot.Snapshot:
    return snapshot.ensure(machine, cache_folder=cache, supervisor=probe.path, timeout_s=60, log=quiet)


def quiet(_name: str, _content: bytes) -> None:
    return None


def test_clones_share_a_boot_and_no_random_number(frozen, host_probe):
    machine, _, made = frozen
    seen = []
    for _ in range(3):
        with snapshot.restored(machine, made, supervisor=host_probe.path, log=quiet) as guest:
            seen.append(guest.wire.freshen(timeout_s=30))
    assert {each.boot_id for each in seen} == {made.boot_id}
    assert len({each.random for each in seen}) == 3


def test_clones_that_live_together_do_not_see_each_other_and_leave_the_snapshot_as_it_was(frozen, host_probe):
    machine, _, made = frozen
    before = hashed._of_memory.__wrapped__(made.ram)
    start = {"supervisor": host_probe.path, "log": quiet}
    with snapshot.restored(machine, made, **start) as one, snapshot.restored(machine, made, **start) as other:
        one.wire.put("/tmp/mine", b"mine", timeout_s=30)
        other.wire.put("/tmp/theirs", b"theirs", timeout_s=30)
        answers = [guest.wire.run(["/init", "cat", "/tmp/mine"], timeout_s=30).stdout for guest in (one, other)]
    assert answers == [b"mine", b""]
    assert hashed._of_memory.__wrapped__(made.ram) == before


def test_a_second_start_makes_nothing_new(frozen, host_probe):
    machine, cache, made = frozen
    identity = made.ram.stat().st_ino
    assert ensure(machine, cache, host_probe) == made
    assert made.ram.stat().st_ino == identity


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("damage", ["ram", "state", "record", "foreign", "missing"])
def test_a_damaged_or_foreign_snapshot_is_not_trusted(frozen, tmp_path, damage):
    _, _, made = frozen
    copy = tmp_path / made.ram.parent.name
    key = copy.name
    copy_snapshot(made.ram.parent, copy)
    record = snapshot._trusted(copy, key)
    assert record
    if damage in {"ram", "state"}:
        flip(copy / damage, 1000)
    elif damage == "record":
        (copy / "record.json").write_bytes(b"\xff{")
    elif damage == "foreign":
        record = msgspec.structs.replace(record, key="0" * 64)
        (copy / "record.json").write_bytes(msgspec.json.encode(record))
    else:
        (copy / "ram").unlink()
    assert snapshot._trusted(copy, key) is None


def test_what_is_not_trusted_is_rebuilt_and_two_that_need_it_build_it_once(frozen, host_probe, tmp_path):
    machine, _, made = frozen
    folder = tmp_path / "snapshots" / made.ram.parent.name
    copy_snapshot(made.ram.parent, folder)
    flip(folder / "state", 100)
    found: list[snapshot.Snapshot] = []
    threads = [threading.Thread(target=lambda: found.append(ensure(machine, tmp_path, host_probe))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0].boot_id != made.boot_id
    with snapshot.restored(machine, found[0], supervisor=host_probe.path, log=quiet) as guest:
        assert guest.wire.run(["/init", "exit", "7"], timeout_s=30).exit_status == 7


def test_a_clone_that_is_another_guest_does_not_start(frozen, host_probe):
    machine, _, made = frozen
    stranger = msgspec.structs.replace(made, boot_id="0" * 36)
    with (
        pytest.raises(StartFailed, match="not the one that was frozen"),
        snapshot.restored(machine, stranger, supervisor=host_probe.path, log=quiet),
    ):
        pass


def test_a_state_that_qemu_cannot_load_does_not_hang(frozen, host_probe, tmp_path):
    machine, _, made = frozen
    state = tmp_path / "state"
    state.write_bytes(b"no state" * 100)
    broken = msgspec.structs.replace(made, state=state)
    with (
        pytest.raises(StartFailed, match="did not wake up"),
        snapshot.restored(machine, broken, supervisor=host_probe.path, log=quiet),
    ):
        pass


def test_a_cache_that_cannot_be_written_is_unsupported_with_the_way_out(frozen, host_probe, tmp_path):
    machine, _, _ = frozen
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NotSupported) as caught:
        ensure(machine, tmp_path / "file", host_probe)
    assert 'start = "cold"' in caught.value.missing


def test_the_least_recently_used_go_first_when_the_cache_is_over_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "CACHE_LIMIT_BYTES", 20_000)
    for age, name in enumerate(("newest", "middle", "oldest")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ram").write_bytes(b"x" * 8192)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    snapshot._evict(tmp_path, keep=tmp_path / "oldest")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["newest", "oldest"]


def test_another_kernel_command_line_is_another_snapshot(frozen):
    machine, _, made = frozen
    other = msgspec.structs.replace(machine, kernel_arguments=machine.kernel_arguments + " x")
    assert snapshot.key_of(machine) == made.ram.parent.name
    assert snapshot.key_of(other) != made.ram.parent.name


def test_memory_is_the_same_whichever_of_its_zeroes_are_holes_and_another_for_any_bit_of_it(tmp_path):
    sparse, full = tmp_path / "sparse", tmp_path / "full"
    content = bytearray(1 << 20)
    content[300_000:300_010] = b"some bytes"
    full.write_bytes(content)
    with sparse.open("wb") as file:
        file.truncate(len(content))
        file.seek(300_000)
        file.write(b"some bytes")
    known = hashed.memory_sha256(full)
    assert hashed.memory_sha256(sparse) == known
    flip(sparse, 900_000)  # in a hole
    assert hashed.memory_sha256(sparse) != known
    for other in (content[:-1], content + b"\0", bytes(65536) + content[:-65536], content.replace(b"some", b"sone")):
        full.write_bytes(other)
        assert hashed._of_memory.__wrapped__(full) != known
