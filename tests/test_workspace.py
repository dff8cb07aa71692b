"""The workspace that a sandbox shares with the host: no way out of it, and snapshots that hold what they say."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchproof.errors import StoreError, UsageError
from benchproof.sandboxd import calls, inventory
from benchproof.sandboxd.snapshots import Snapshots
from benchproof.sandboxd.workspace import Limits, Place, Workspace


@pytest.fixture
def workspace(tmp_path):
    root = tmp_path / "work"
    root.mkdir()
    return Workspace(
        Place(root=root, hidden=frozenset({"probe"})),
        limits=Limits(file_bytes=1000, listed=20, files=30, bytes=10_000, snapshots=4),
    )


@pytest.fixture
def snapshots(workspace, tmp_path):
    return Snapshots(workspace, tmp_path / "store")


def fill(workspace, count):
    contents = {f"folder-{number % 3}/file-{number}": secrets.token_bytes(100) for number in range(count)}
    for path, content in contents.items():
        workspace.write(path, content)
    return contents


def test_what_was_written_is_read_listed_and_has_the_hash_that_was_said(workspace):
    content = secrets.token_bytes(500)
    told = workspace.write("/work/deep/er/file", content)
    assert told == {"path": "deep/er/file", "size_bytes": 500, "sha256": hashlib.sha256(content).hexdigest()}
    assert workspace.read("deep/er/file") == content
    assert workspace.entries("deep") == [{"name": "er", "kind": "folder", "size_bytes": pytest.approx(4096, abs=1e6)}]
    assert [each["name"] for each in workspace.entries("/work/deep/er")] == ["file"]


def test_a_file_that_is_written_again_keeps_its_mode(workspace):
    workspace.write("tool", b"1", mode=0o755)
    workspace.write("tool", b"2")
    assert (workspace.root / "tool").stat().st_mode & 0o777 == 0o755
    assert workspace.read("tool") == b"2"


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/etc/passwd", "/work/../secret", "/workshop/x", "", "/work", "a\0b", "a\nb"],
)
def test_a_path_that_leads_out_is_refused(workspace, path):
    (workspace.root.parent / "secret").write_text("secret")
    for act in (workspace.read, lambda path: workspace.write(path, b"x")):
        with pytest.raises(UsageError):
            act(path)
    assert (workspace.root.parent / "secret").read_text() == "secret"


def test_links_that_a_sandbox_made_lead_nowhere(workspace, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (workspace.root / "folder").symlink_to(outside)
    (workspace.root / "file").symlink_to(outside / "secret")
    for path in ("folder/secret", "file"):
        with pytest.raises(UsageError, match="symbolic link"):
            workspace.read(path)
    with pytest.raises(UsageError, match="symbolic link"):
        workspace.write("folder/new", b"x")
    with pytest.raises(UsageError, match="symbolic link"):
        workspace.entries("folder")
    workspace.write("file", b"mine")  # the link is replaced, not followed
    assert (outside / "secret").read_text() == "secret"
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_what_is_the_services_own_is_neither_shown_nor_kept_nor_written(workspace, snapshots):
    (workspace.root / "probe").write_bytes(b"x" * 20_000)
    workspace.write("deep/probe", b"mine")
    assert [each["name"] for each in workspace.entries("")] == ["deep"]
    assert snapshots.create("first")["files"] == 1
    assert snapshots.changes("first")["deleted"] == []
    for act in (workspace.read, lambda path: workspace.write(path, b"x"), lambda path: snapshots.revert("first", path)):
        with pytest.raises(UsageError, match="the service's own"):
            act("/work/probe")


def test_a_fifo_is_refused_and_not_waited_for(workspace):
    os.mkfifo(workspace.root / "fifo")
    with pytest.raises(UsageError, match="FIFO"):
        workspace.read("fifo")


def test_sizes_and_counts_are_bounded(workspace):
    with pytest.raises(UsageError, match="1000 bytes, found 1001"):
        workspace.write("large", b"x" * 1001)
    (workspace.root / "large").write_bytes(b"x" * 1001)
    with pytest.raises(UsageError, match="more than 1000 bytes"):
        workspace.read("large")
    for number in range(21):
        (workspace.root / str(number)).touch()
    with pytest.raises(UsageError, match="more than 20 entries"):
        workspace.entries("")


def test_a_snapshot_holds_the_contents_that_were_there_and_says_how_they_were_copied(workspace, snapshots, tmp_path):
    contents = fill(workspace, 10)
    (workspace.root / "link").symlink_to("/etc/passwd")
    told = snapshots.create("first")
    assert (told["files"], told["clone"] in {"reflink", "copy"}) == (11, True)
    assert told["stages_ns"].keys() == {"clone_ws", "hash"}
    kept = {path.read_bytes() for path in (tmp_path / "store" / "first" / "blobs").iterdir()}
    assert kept == set(contents.values())


def test_a_copy_shares_blocks_where_the_file_system_can_and_says_so(workspace, monkeypatch, tmp_path):
    fill(workspace, 2)
    asked = []

    def clones(copy, request, source):
        asked.append(request)
        os.sendfile(copy, source, 0, 1 << 20)

    monkeypatch.setattr(inventory.fcntl, "ioctl", clones)
    assert Snapshots(workspace, tmp_path / "store").create("first")["clone"] == "reflink"
    assert asked == [0x40049409] * 2


def test_changes_name_exactly_what_changed(workspace, snapshots):
    fill(workspace, 9)
    snapshots.create("first")
    assert snapshots.changes("first")["added_count"] == 0
    workspace.write("folder-0/file-0", b"other")
    workspace.write("new", b"new")
    (workspace.root / "folder-1/file-1").unlink()
    (workspace.root / "folder-2/file-2").chmod(0o600)
    found = snapshots.changes("first")
    assert found["added"] == ["new"]
    assert found["modified"] == ["folder-0/file-0", "folder-2/file-2"]
    assert found["deleted"] == ["folder-1/file-1"]


def test_a_change_that_keeps_size_and_times_is_found(workspace, snapshots):
    workspace.write("file", b"aaaa")
    before = (workspace.root / "file").stat()
    snapshots.create("first")
    (workspace.root / "file").write_bytes(b"bbbb")
    os.utime(workspace.root / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert snapshots.changes("first")["modified"] == ["file"]


def test_the_list_tells_what_changed_from_one_snapshot_to_the_next(workspace, snapshots):
    workspace.write("one", b"1")
    snapshots.create("first")
    workspace.write("two", b"2")
    workspace.write("one", b"1 again")
    snapshots.create("second")
    first, second = snapshots.listed()
    assert (first["name"], first["changes"]["added"]) == ("first", ["one"])
    assert (second["name"], second["changes"]["added"], second["changes"]["modified"]) == ("second", ["two"], ["one"])


def test_a_revert_restores_content_and_mode_or_removes_what_was_not_there(workspace, snapshots):
    workspace.write("folder/file", b"right", mode=0o750)
    (workspace.root / "link").symlink_to("here")
    snapshots.create("first")
    workspace.write("folder/file", b"wrong", mode=0o600)
    (workspace.root / "link").unlink()
    workspace.write("new", b"new")
    assert snapshots.revert("first", "/work/folder/file")["action"] == "restored"
    assert snapshots.revert("first", "link")["action"] == "restored"
    assert snapshots.revert("first", "new")["action"] == "removed"
    assert workspace.read("folder/file") == b"right"
    assert (workspace.root / "folder/file").stat().st_mode & 0o777 == 0o750
    assert (workspace.root / "link").readlink() == Path("here")
    found = snapshots.changes("first")
    assert [found[f"{kind}_count"] for kind in ("added", "modified", "deleted")] == [0, 0, 0]


def test_a_revert_into_a_folder_that_became_a_link_is_refused(workspace, snapshots, tmp_path):
    workspace.write("folder/file", b"right")
    snapshots.create("first")
    (workspace.root / "folder/file").unlink()
    (workspace.root / "folder").rmdir()
    (workspace.root / "folder").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="symbolic link"):
        snapshots.revert("first", "folder/file")
    assert not (tmp_path / "file").exists()


def test_a_damaged_copy_is_not_restored(workspace, snapshots, tmp_path):
    workspace.write("file", b"right")
    snapshots.create("first")
    (tmp_path / "store" / "first" / "blobs" / "0").write_bytes(b"wrong")
    workspace.write("file", b"mine")
    with pytest.raises(UsageError, match="damaged"):
        snapshots.revert("first", "file")
    assert workspace.read("file") == b"mine"


def test_a_deleted_snapshot_is_gone_from_list_and_disk(workspace, snapshots, tmp_path):
    workspace.write("file", b"1")
    snapshots.create("first")
    assert snapshots.delete("first")["gone"]
    assert snapshots.listed() == []
    assert list((tmp_path / "store").iterdir()) == []
    with pytest.raises(UsageError, match="no snapshot 'first'"):
        snapshots.delete("first")


def test_merging_keeps_every_file_the_newest_of_each_path(workspace, snapshots):
    workspace.write("old", b"only in the first")
    workspace.write("both", b"1")
    snapshots.create("first")
    (workspace.root / "old").unlink()
    workspace.write("both", b"2")
    snapshots.create("second")
    told = snapshots.compact(["second", "first"], "merged")
    assert (told["merged"], told["files"], told["stages_ns"].keys()) == (["first", "second"], 2, {"compact"})
    assert [each["name"] for each in snapshots.listed()] == ["merged"]
    snapshots.revert("merged", "old")
    workspace.write("both", b"3")
    snapshots.revert("merged", "both")
    assert (workspace.read("old"), workspace.read("both")) == (b"only in the first", b"2")


def test_what_was_begun_and_not_ended_is_swept_away_and_what_is_whole_is_found_again(workspace, snapshots, tmp_path):
    workspace.write("file", b"1")
    snapshots.create("whole")
    (tmp_path / "store" / ".draft-1" / "blobs").mkdir(parents=True)
    (tmp_path / "store" / ".gone-1").mkdir()
    again = Snapshots(workspace, tmp_path / "store")
    assert [each["name"] for each in again.listed()] == ["whole"]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["whole"]
    (tmp_path / "store" / "whole" / "manifest.json").write_bytes(b'{"name": "wh')
    with pytest.raises(StoreError, match="remove that folder"):
        Snapshots(workspace, tmp_path / "store")


def test_a_snapshot_that_cannot_be_made_leaves_nothing(workspace, snapshots, tmp_path):
    for number in range(31):
        (workspace.root / str(number)).touch()
    with pytest.raises(UsageError, match="more than 30 files"):
        snapshots.create("many")
    for number in range(31):
        (workspace.root / str(number)).unlink()
    (workspace.root / "large").write_bytes(b"x" * 10_001)
    with pytest.raises(UsageError, match="more than 10000 bytes"):
        snapshots.create("large")
    assert list((tmp_path / "store").iterdir()) == []


def test_names_and_numbers_of_snapshots_are_bounded(workspace, snapshots):
    for name in ("../out", "", ".hidden", "A", "x" * 64, "a/b"):
        with pytest.raises(UsageError, match="name: expected"):
            snapshots.create(name)
    for number in range(4):
        snapshots.create(f"s{number}")
    with pytest.raises(UsageError, match="exists already"):
        snapshots.create("s1")
    with pytest.raises(UsageError, match="as many as may be"):
        snapshots.create("s5")


def test_what_cannot_be_in_a_snapshot_is_counted(workspace, snapshots):
    os.mkfifo(workspace.root / "fifo")
    (workspace.root / os.fsdecode(b"\xff")).touch()
    workspace.write("file", b"1")
    assert (snapshots.create("first")["files"], snapshots.changes("first")["skipped"]) == (1, 2)
    assert snapshots.listed()[0]["skipped"] == 2


def test_a_snapshot_while_files_are_written_is_whole_and_true_to_its_hashes(tmp_path):
    (tmp_path / "work").mkdir()
    workspace = Workspace(Place(root=tmp_path / "work"))
    for number in range(20):
        workspace.write(f"file-{number}", b"0" * 4096)
    done = threading.Event()

    def write():
        while not done.is_set():
            for number in range(20):
                workspace.write(f"file-{number}", secrets.token_bytes(1) * 4096)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        snapshots = Snapshots(workspace, tmp_path / "store")
        told = [snapshots.create(f"s{number}") for number in range(5)]
    finally:
        done.set()
        writer.join()
    assert all(each["files"] == 20 for each in told)
    for each in told:
        snapshots.revert(each["name"], "file-7")
        assert len(set(workspace.read("file-7"))) == 1  # a file is replaced in one step: never half of two


def test_the_log_has_the_line_with_the_time_of_each_stage(workspace, snapshots, caplog):
    caplog.set_level(logging.INFO)
    workspace.write("file", b"1")
    frozen = []
    snapshots.create("plain")
    snapshots.create("whole", clone_system=frozen.append)
    plain, whole = caplog.messages
    assert re.match(r"snapshot_into_slot timing clone_ws_ms=\d+\.\d+ clone_sys_ms=none hash_ms=\d+\.\d+ ", plain)
    assert re.match(r"snapshot_into_slot timing clone_ws_ms=\d+\.\d+ clone_sys_ms=\d+\.\d+ hash_ms=\d+\.\d+ ", whole)
    assert frozen == ["default-whole"]


def kept(record, tool, elapsed_ns=1_000_000, outcome="ok", stages_ns=None):
    record.add(
        tool,
        started=datetime.now(UTC),
        elapsed_ns=elapsed_ns,
        outcome=outcome,
        sandbox="default",
        stages_ns=stages_ns or {},
    )


def test_calls_answer_the_question_of_the_slowest_snapshots(tmp_path):
    record = calls.Calls(tmp_path)
    for number in range(25):
        kept(record, "snapshot_create", number * 1_000_000, stages_ns={"clone_ws": 500_000})
    kept(record, "exec", 10**12)
    names, rows = calls.ask(
        tmp_path,
        "SELECT tool_name, duration_ms FROM mcp_calls WHERE tool_name LIKE 'snapshot%' "
        "ORDER BY duration_ms DESC LIMIT 20",
    )
    assert names == ("tool_name", "duration_ms")
    assert rows == [("snapshot_create", float(number)) for number in range(24, 4, -1)]
    assert calls.ask(tmp_path, "SELECT stages_json FROM mcp_calls LIMIT 1")[1] == [('{"clone_ws_ms": 0.5}',)]
    record.close()


def test_averages_are_shown_by_tool(tmp_path):
    record = calls.Calls(tmp_path)
    kept(record, "exec", 2_000_000)
    kept(record, "exec", 4_000_000, outcome="refused")
    assert list(calls.table(*calls.ask(tmp_path, calls.AVERAGES))) == [
        "tool_name  calls  not_ok  average_ms  least_ms  most_ms",
        "exec           2       1       3.000     2.000    4.000",
    ]
    record.close()


@pytest.mark.parametrize("sql", ["DELETE FROM mcp_calls", "DROP TABLE mcp_calls", "SELECT", "SELECT 1; SELECT 2"])
def test_a_question_changes_nothing(tmp_path, sql):
    record = calls.Calls(tmp_path)
    kept(record, "exec")
    with pytest.raises(UsageError, match="cannot be answered"):
        calls.ask(tmp_path, sql)
    assert calls.ask(tmp_path, "SELECT count(*) FROM mcp_calls")[1] == [(1,)]
    record.close()


def test_calls_of_a_folder_without_a_daemon_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no calls were kept"):
        calls.ask(tmp_path, calls.AVERAGES)


def test_a_call_that_cannot_be_kept_was_done_all_the_same_and_the_log_says_so(tmp_path, caplog):
    record = calls.Calls(tmp_path)
    record.close()
    record.add("exec", started=datetime.now(UTC), elapsed_ns=1, outcome="ok", sandbox="one", stages_ns={})
    assert "calls tool=exec kept=0" in caplog.text
