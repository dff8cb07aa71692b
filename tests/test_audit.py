"""What has more rights than usual goes on record before it starts, or it does not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from benchproof import plan, runner
from benchproof.cli import benchproof
from benchproof.errors import StoreError, TargetFailed
from benchproof.model import Invalid, Passed
from benchproof.store import audit, bundle
from benchproof.targets.fake import Fake
from conftest import completed, transcript

MOUNT = {"mounts": 100, "mounted_type": "tmpfs", "mounted_apart": 1, "gone": 1}
HELD = {
    "authority.capabilities": f"{1 << 21:016x}",
    "authority.bounding": f"{1 << 21:016x}",
    "authority.new_namespaces": "mnt",
}
GOOD = completed(transcript("mount.tmpfs", evidence=MOUNT | HELD))


class Silent:
    def planned(self, invocations): ...
    def note(self, message): ...
    def done(self, block, target, benchmark, outcome): ...


@pytest.fixture
def measure(tmp_path, monkeypatch, host_probe):
    def go(answer, benchmark="mount.tmpfs"):
        document = {"targets": {"host": {}}, "suites": {"s": {"benchmarks": [benchmark]}}, "run": {"blocks": 1}}
        monkeypatch.setattr(plan.Plan, "make_target", lambda _plan, _name, _lab: Fake(answer))
        with runner.begin(plan.parse(document, where="test"), tmp_path, host_probe, Silent()) as session:
            results = list(session.run())
            session.close()
        return results

    return go


def records(home):
    return [(entry.event, entry.benchmark, entry.outcome) for entry, fits in audit.read(home) if fits]


def test_each_start_is_on_the_disk_before_it_happens_and_its_end_after_it(measure, tmp_path):
    seen = []

    def answer(_argv, _stdin, _files):
        seen.append(records(tmp_path)[-1])
        return GOOD

    results = measure(answer)
    assert all(isinstance(each.outcome, Passed) for each in results)
    assert seen == [("starting", "mount.tmpfs", "")] * 2  # warm-up and one block
    assert records(tmp_path) == [("starting", "mount.tmpfs", ""), ("ended", "mount.tmpfs", "passed")] * 2
    (first, _), *_ = audit.read(tmp_path)
    assert (first.target, first.run_id) == ("host", results[0].run_id)
    assert "CAP_SYS_ADMIN" in first.authority
    assert first.user


def test_how_it_ended_is_on_record_too(measure, tmp_path):
    def answer(_argv, _stdin, _files):
        raise TargetFailed("it crashed")

    measure(answer)
    assert ("ended", "mount.tmpfs", "it crashed") in records(tmp_path)


def test_what_needs_no_rights_leaves_no_record(measure, tmp_path):
    measure(lambda *_: completed(transcript()), "syscall.getpid")
    assert records(tmp_path) == []


def test_what_cannot_go_on_record_does_not_start(measure, tmp_path):
    (tmp_path / audit.AUDIT).mkdir()
    started = []
    results = measure(lambda argv, *_: started.append(argv) or GOOD)
    assert started == []
    assert all(isinstance(each.outcome, Invalid) for each in results)
    assert "goes on record or does not start" in results[0].outcome.reason


def written(home, count=3):
    for number in range(count):
        said = {"run_id": "r", "target": "t", "authority": "none", "event": "starting"}
        audit.append(home, audit.entry(benchmark=f"b{number}", **said))
    return (home / audit.AUDIT).read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        (lambda lines: [lines[0].replace('"b0"', '"b7"'), *lines[1:]], [False, True, True]),
        (lambda lines: [lines[0], lines[2]], [True, False]),
        (lambda lines: [lines[1], lines[0], lines[2]], [False, False, False]),
    ],
)
def test_a_line_that_was_changed_or_taken_out_is_noticed(tmp_path, change, good):
    (tmp_path / audit.AUDIT).write_text("".join(change(written(tmp_path))))
    assert [fits for _, fits in audit.read(tmp_path)] == good


def test_a_torn_or_damaged_line_stops_what_comes_after_it(tmp_path):
    lines = written(tmp_path)
    for torn in ("".join(lines)[:-5], "".join(lines) + "rubbish\n"):
        (tmp_path / audit.AUDIT).write_text(torn)
        with pytest.raises(StoreError, match="move the file away"):
            written(tmp_path, 1)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_is_neither_written_to_nor_read_nor_waited_for(tmp_path, make):
    make(tmp_path / audit.AUDIT)
    with pytest.raises(StoreError, match=audit.AUDIT):
        written(tmp_path, 1)
    (tmp_path / "elsewhere").touch()
    with pytest.raises(StoreError, match=audit.AUDIT):
        list(audit.read(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="--home"):
        written(tmp_path, 1)


def listed(home, *flags):
    command = [sys.executable, "-m", "benchproof", "list", "audit", "--home", str(home), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_command_line_shows_the_record_and_what_is_wrong_with_it(tmp_path):
    lines = written(tmp_path)
    assert [row["benchmark"] for row in json.loads(listed(tmp_path, "--json"))] == ["b0", "b1", "b2"]
    (tmp_path / audit.AUDIT).write_text("".join(lines).replace('"b1"', '"b9"'))
    assert listed(tmp_path).count("WAS CHANGED") == 1


def test_the_start_of_a_measurement_build_is_on_record_before_it_is_described(tmp_path, monkeypatch, host_probe):
    image = tmp_path / "image"
    image.write_bytes(b"no kernel")
    document = {
        "targets": {"k": {"kind": "kernel", "image": str(image), "build": "measurement"}},
        "suites": {"s": {"benchmarks": ["syscall.getpid"]}},
        "run": {"blocks": 1},
    }
    seen = []

    class Described(Fake):
        def facts(self):
            seen.extend(records(tmp_path))
            return super().facts()

    monkeypatch.setattr(
        plan.Plan, "make_target", lambda _plan, _name, _lab: Described(lambda *_: completed(transcript()))
    )
    with runner.begin(plan.parse(document, where="test"), tmp_path, host_probe, Silent()) as session:
        list(session.run())
        assert bundle.load(session.out.path).results
    assert seen == [("starting", "", "")]
    assert records(tmp_path)[:2] == [("starting", "", ""), ("starting", "tier 0", "")]
    assert ("ended", "syscall.getpid", "passed") in records(tmp_path)
    assert all("measurement build" in entry.authority for entry, _ in audit.read(tmp_path))


# ---- is the record whole? ----


def asked(home, *flags):
    """(exit status, standard output, standard error) of `benchproof audit`."""
    done = CliRunner().invoke(benchproof, ["audit", "--home", str(home), *flags], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.return_value, done.stdout, done.stderr


def test_a_whole_record_says_who_started_what_when_and_with_what_rights(measure, tmp_path):
    (result,) = [each for each in measure(lambda *_: GOOD) if each.block == 0]
    status, text, talk = asked(tmp_path)
    assert (status, talk) == (0, "benchproof: 4 lines, the chain is whole\n")
    assert [line.split()[2] for line in text.splitlines()] == ["starting", "ended"] * 2
    assert "CAP_SYS_ADMIN" in text
    assert asked(tmp_path, "--run", "nothing")[1] == ""
    document = json.loads(asked(tmp_path, "--json", "--run", result.run_id)[1])
    assert [each["whole"] for each in document["lines"]] == [True] * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0].replace(b'"starting"', b'"ended"'), *lines[1:]], "THE CHAIN IS BROKEN at 1 of them"),
        (lambda lines: [lines[0], *lines[2:]], "THE CHAIN IS BROKEN at 1 of them"),
        (lambda lines: lines[:2], "mount.tmpfs on host passed 2 times, 1 on record"),
        (lambda lines: lines[:1], "mount.tmpfs on host passed 2 times, 1 on record"),
    ],
)
def test_a_record_that_was_changed_or_whose_end_was_cut_off_is_a_bad_answer(measure, tmp_path, change, said):
    measure(lambda *_: GOOD)
    path = tmp_path / audit.AUDIT
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    status, _, talk = asked(tmp_path)
    assert status == 1
    assert said in talk
    assert "the chain is whole\n" not in talk


def test_a_run_that_is_not_on_record_at_all_is_no_answer(measure, tmp_path):
    measure(lambda *_: GOOD)
    (tmp_path / audit.AUDIT).unlink()
    status, _, talk = asked(tmp_path)
    assert status == 3
    assert "mount.tmpfs on host passed 2 times, none is on record here" in talk


def test_runs_without_rights_and_runs_that_cannot_be_read_are_no_doubt(measure, tmp_path):
    measure(lambda *_: completed(transcript()), "syscall.getpid")
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "manifest.json").write_text('{"CAP_"')
    assert asked(tmp_path)[::2] == (0, "benchproof: 0 lines, the chain is whole\n")
