"""What the daemon does with sandboxes that can be frozen: images, a pool, an end that is proven; and its oracles."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from benchproof.errors import NotSupported, TargetFailed
from benchproof.sandboxd.backend import Backend
from benchproof.sandboxd.limits import Limits, Refused
from benchproof.sandboxd.pool import Pool
from benchproof.sandboxd.sandbox import started
from benchproof.sandboxd.sandboxes import Sandboxes
from conftest import why_unusable
from daemons import Daemon, daemon
from processes import Processes


def made(lab, fault: str = "", *, limits: Limits | None = None) -> tuple[Processes, Sandboxes]:
    target = Processes(lab, fault)
    backend = Backend(target, "processes")
    backend.prepare()
    return target, Sandboxes(backend, limits or Limits(), lab.scratch)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_files_survive_a_fork_and_clones_do_not_share_them(lab):
    _, sandboxes = made(lab)
    sandboxes.create("first")
    sandboxes.put("first", "file", b"before")
    kept = sandboxes.fork("first", "kept")
    sandboxes.put("first", "file", b"after")
    second = sandboxes.create("second", image="kept")
    assert (second.sandbox.origin, second.sandbox.image) == ("image", "kept")
    assert (sandboxes.get("second", "file"), sandboxes.get("first", "file")) == (b"before", b"after")
    assert kept.image.size_bytes() > 0
    sandboxes.delete_image("kept")
    assert not any(path.exists() for path in kept.files)
    assert sandboxes.get("second", "file") == b"before"
    with pytest.raises(Refused, match="no image is called 'kept'") as refused:
        sandboxes.create("third", image="kept")
    assert refused.value.status == 404
    assert sandboxes.close() == []
    assert {each.name for each in sandboxes.alive()} == set()


def test_an_image_that_could_not_be_made_leaves_its_name_free(lab):
    target, sandboxes = made(lab)
    sandboxes.create("first")
    target.fault = "the original dies"
    sandboxes.fork("first", "kept")
    with pytest.raises(Refused) as refused:
        sandboxes.fork("first", "kept")
    assert refused.value.status == 409
    with pytest.raises(Refused) as refused:
        sandboxes.fork("none-such", "other")
    assert refused.value.status == 404
    assert [each.name for each in sandboxes.images()] == ["kept"]
    with pytest.raises(TargetFailed):
        sandboxes.run("first", ["x"])
    assert sandboxes.alive() == []  # it could not be proven usable, so it was ended
    sandboxes.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("fault", "what"), [("leaves a process", "process"), ("leaves a dead process", "process")])
def test_a_deletion_that_leaves_something_says_what(lab, fault, what):
    target, sandboxes = made(lab, fault)
    sandboxes.create("first")
    with pytest.raises(Refused, match=f"of sandbox 'first' there is left: {what}") as refused:
        sandboxes.delete("first")
    assert refused.value.status == 500
    target.sweep()
    assert sandboxes.close() == []


@pytest.mark.usefixtures("hasty")
def test_a_deletion_that_leaves_a_file_says_which(lab):
    target, sandboxes = made(lab, "leaves a file")
    sandboxes.create("first")
    with pytest.raises(Refused, match=r"there is left: file .*/instance-"):
        sandboxes.delete("first")
    target.fault = ""
    sandboxes.close()


def test_what_the_pool_started_and_does_not_serve_is_ended(lab):
    _, sandboxes = made(lab, "the clone is dead")
    begun = []

    def start():
        _, begin = sandboxes.backend.start()
        begun.append(started(begin(), "snapshot"))
        return begun[-1]

    pool = Pool(start, busy=lambda: False)
    assert pool.resize(1, timeout_s=30).failed == 1
    pool.close()
    assert begun
    assert all(each.ending for each in begun)
    sandboxes.close()


def test_a_pool_outlives_a_start_for_which_there_is_no_room():
    def start():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    pool = Pool(start, busy=lambda: False)
    stats = pool.resize(1, timeout_s=30)
    assert (stats.failed, stats.last_error) == (1, "[Errno 28] No space left on device")
    assert pool._thread is not None
    assert pool._thread.is_alive()
    pool.close()


def test_nothing_is_frozen_by_a_daemon_that_is_being_ended(lab):
    _, sandboxes = made(lab)
    sandboxes.close()
    with pytest.raises(Refused, match="is being ended") as refused:
        sandboxes.fork("first", "kept")
    assert refused.value.status == 503


def test_a_sandbox_that_does_not_serve_is_no_sandbox(lab):
    _, sandboxes = made(lab)
    assert sandboxes.warm(1, timeout_s=30).ready == 1
    sandboxes.backend._target.fault = "the clone is dead"
    taken = sandboxes.create("first")
    assert taken.sandbox.origin == "pool"
    with pytest.raises(Refused, match="the pool has no sandbox ready"):
        sandboxes.create("second", demanded="pool")
    until_s = time.monotonic() + 30
    while not sandboxes.pool.stats().failed and time.monotonic() < until_s:
        time.sleep(0.01)
    assert "the instance has ended" in sandboxes.pool.stats().last_error
    sandboxes.close()


def test_a_pool_replaces_what_died_in_it_and_counts(lab):
    target, sandboxes = made(lab)
    assert sandboxes.warm(2, timeout_s=30).ready == 2
    oldest = target.alive[0]
    oldest.die()
    first = sandboxes.create("first")
    assert (first.sandbox.origin, first.sandbox.instance is oldest) == ("pool", False)
    stats = sandboxes.pool.stats()
    assert (stats.taken, stats.replaced) == (1, 1)
    sandboxes.create("second")
    stats = sandboxes.warm(2, timeout_s=30)
    assert (stats.ready, stats.taken + stats.missed) == (2, 2)
    assert sandboxes.warm(0, timeout_s=30).ready == 0
    sandboxes.close()
    assert target.alive == []


def test_what_is_too_old_is_replaced(lab):
    target, sandboxes = made(lab)
    sandboxes.pool._refresh_s = 0.2
    assert sandboxes.warm(1, timeout_s=30).ready == 1
    old = target.alive[0]
    until_s = time.monotonic() + 30
    while old in target.alive and time.monotonic() < until_s:
        time.sleep(0.01)
    assert sandboxes.pool.stats().replaced >= 1
    sandboxes.close()


def test_provisions_wait_in_a_queue_that_has_an_end(lab):
    target, sandboxes = made(lab, limits=Limits(provisions=1, waiting=1))
    gate = threading.Event()
    begin = sandboxes.backend._image.start
    sandboxes.backend._image.start = lambda: gate.wait(60) and begin()
    futures = [sandboxes.submit(f"box-{number}") for number in range(2)]
    with pytest.raises(Refused, match="2 sandboxes are being started or waited for already") as refused:
        sandboxes.submit("box-2")
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    with pytest.raises(Refused, match="is being started or ended"):
        sandboxes.delete("box-0")
    gate.set()
    assert {each.result(60).sandbox.name for each in futures} == {"box-0", "box-1"}
    assert sandboxes.close() == []
    assert target.alive == []
    with pytest.raises(Refused, match="the daemon is being ended"):
        sandboxes.submit("box-3")


def test_a_start_that_fails_leaves_its_name_free_and_its_place_in_the_queue(lab):
    target, sandboxes = made(lab, limits=Limits(provisions=1, waiting=0))
    begin = sandboxes.backend._image.start

    def fail():
        raise NotSupported("no such luck")

    sandboxes.backend._image.start = fail
    for _ in range(3):
        with pytest.raises(NotSupported, match="no such luck"):
            sandboxes.create("box")
    sandboxes.backend._image.start = begin
    assert sandboxes.create("box").sandbox.origin == "snapshot"
    sandboxes.close()
    assert target.alive == []


# ---- guests ----


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    with daemon(tmp_path_factory.mktemp("guests"), "--backend", "qemu", "--pool", "1") as one:
        yield one
    assert one.left() == []


def test_a_guest_from_the_pool_is_forked_and_its_clone_has_its_files(guests: Daemon):
    name = guests.provision()["name"]
    assert guests.put(name, "/tmp/file", b"kept").status == 201
    forked = guests.ask("POST", f"/fork/{name}", {"image": "kept"})
    assert (forked.status, forked.json["image"]) == (201, "kept")
    assert sum(Path(path).stat().st_blocks * 512 for path in forked.json["files"]) == forked.json["size_bytes"]
    clone = guests.provision(image="kept")
    assert (clone["from"], guests.get(clone["name"], "file").content) == ("image", b"kept")
    assert guests.exec(clone["name"], clone["cat"], stdin="a word").json["stdout"] == "a word"
    held = guests.ask("GET", f"/sandboxes/{clone['name']}").json
    assert all(map(is_alive, held["processes"]))
    assert held["processes"] == clone["processes"]
    assert held["memory_bytes"] > 1 << 20
    for each in (name, clone["name"]):
        assert guests.delete(each).json["gone"]
    assert not any(map(is_alive, held["processes"]))
    assert guests.ask("DELETE", "/images/kept").json == {"image": "kept", "gone": True}
    assert not any(Path(path).exists() for path in forked.json["files"])


def test_the_stages_of_a_clone_are_told_and_add_up(guests: Daemon):
    made = guests.provision(**{"from": "snapshot"})
    stages = made["stages_ns"]
    assert list(stages) == ["queue", "launch", "restore", "freshen", "start", "total"]
    assert stages.pop("total") == sum(stages.values())
    assert min(stages.values()) >= 0
    assert f"sandbox={made['name']}" in guests.log()
    guests.delete(made["name"])


def test_a_guest_whose_command_does_not_end_is_ended_and_its_neighbour_is_not(guests: Daemon):
    name, other = (guests.provision() for _ in range(2))
    status, step, words = guests.exec(name["name"], [name["probe"], "hang"], timeout_s=0.5).error
    assert (status, step, "the sandbox was ended" in words) == (504, "exec", True)
    assert guests.exec(name["name"], ["x"]).error[0] == 404
    assert not any(map(is_alive, name["processes"]))
    assert guests.exec(other["name"], other["cat"], stdin="well").json["stdout"] == "well"
    assert guests.exec(other["name"], [other["probe"], "flood", str(20 << 20)]).error[0] == 422
    assert guests.exec(other["name"], other["cat"], stdin="still").json["stdout"] == "still"
    guests.delete(other["name"])


def test_a_guest_that_is_killed_is_said_to_be_gone_and_leaves_nothing(guests: Daemon):
    made = guests.provision()
    os.kill(made["processes"][-1], signal.SIGKILL)
    status, _, words = guests.exec(made["name"], made["cat"], stdin="x").error
    assert (status, "the sandbox was ended" in words) == (502, True)
    assert made["name"] not in guests.names()
    assert not any(map(is_alive, made["processes"]))


def test_no_guest_outlives_a_daemon_that_was_killed(tmp_path):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    with daemon(tmp_path, "--backend", "qemu") as served:
        pids = served.provision()["processes"]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        served.end(signal.SIGKILL)
        until_s = time.monotonic() + 10
        while any(map(is_alive, pids)) and time.monotonic() < until_s:
            time.sleep(0.01)
        assert not any(map(is_alive, pids))
