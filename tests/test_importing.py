"""Foreign files as runs: kept with the file, found again, shown without a claim, verified to be what the file says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from benchproof import foreign, importing, report, verify
from benchproof.cli.import_ import command
from benchproof.cli.list_ import command as list_command
from benchproof.cli.report_ import command as report_command
from benchproof.cli.verify_ import command as verify_command
from benchproof.errors import StoreError, UsageError
from benchproof.importers import Unreadable, strict
from benchproof.model import Unverified
from benchproof.reporters import FORMATS as REPORTERS
from benchproof.store import bundle

DATA = Path(__file__).parent / "data"
KEVLAR = DATA / "kevlar" / "linux-on-hvf-baseline.txt"
SEL4 = DATA / "sel4bench" / "ODROID_C2_64.jsonl"
COMPUTESDK = DATA / "computesdk" / "sequential_tti_2026-04-29.json"
LIFECYCLE = DATA / "capsem" / "lifecycle" / "data_0.16.1.json"
LUMINAGUARD = DATA / "luminaguard" / "rust_baseline_20260215_033805.json"


def invoke(verb: click.Command, *arguments: object) -> Result:
    """As the console script: what the verb returns is its exit status."""
    return CliRunner().invoke(verb, [str(each) for each in arguments], standalone_mode=False)


def load(home: Path, taken: importing.Taken, number: int = 0) -> bundle.Run:
    return bundle.load(home / "runs" / taken.runs[number].run_id)


def test_an_imported_file_is_a_whole_run(tmp_path):
    taken = importing.take(KEVLAR, tmp_path)
    run = load(tmp_path, taken)
    content = KEVLAR.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert taken.format == "kevlar"
    assert run.manifest.run_id == f"20260424T105645Z-{digest[:12]}"
    assert (run.manifest.state, run.manifest.created_at) == ("complete", "2026-04-24T10:56:45Z")
    assert (run.path / "objects" / digest).read_bytes() == content
    assert foreign.origin_of(run).file.endswith("tests/data/kevlar/linux-on-hvf-baseline.txt")
    assert all(isinstance(each.outcome, Unverified) for each in run.results)
    assert run.envelopes[run.target_envelopes["Linux-on-HVF"]].sections["probe"] == {"tool": "kevlar"}
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_importing_twice_finds_it_there(tmp_path):
    first, second = importing.take(KEVLAR, tmp_path), importing.take(KEVLAR, tmp_path)
    assert [each.runs[0].new for each in (first, second)] == [True, False]
    assert first.runs[0].run_id == second.runs[0].run_id
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_history_that_has_grown_adds_only_what_is_new(tmp_path):
    lines = SEL4.read_bytes().splitlines(keepends=True)
    history = tmp_path / "ODROID_C2_64.jsonl"
    history.write_bytes(b"".join(lines[:3]))
    assert [each.new for each in importing.take(history, tmp_path).runs] == [True] * 3
    history.write_bytes(b"".join(lines))
    taken = importing.take(history, tmp_path)
    assert [each.new for each in taken.runs] == [False] * 3 + [True] * 2
    run = load(tmp_path, taken, 4)
    assert run.manifest.labels["commit"] == json.loads(lines[4])["sha_kernel"]
    assert [path.read_bytes() for path in (run.path / "objects").iterdir()] == [lines[4]]


def test_the_same_file_under_another_name_is_not_counted_twice(tmp_path):
    importing.take(LIFECYCLE, tmp_path, labels={"branch": "main"})
    for changes, words in (
        ({}, "branch=main"),
        ({"labels": {"branch": "other"}}, "branch=main"),
        ({"labels": {"branch": "main"}, "target": "mine"}, "remove that folder to import it in another way"),
    ):
        with pytest.raises(UsageError, match=words):
            importing.take(LIFECYCLE, tmp_path, **changes)


def test_the_users_words_for_target_and_labels_are_kept(tmp_path):
    run = load(tmp_path, importing.take(LIFECYCLE, tmp_path, target="capsem-arm", labels={"commit": "abc"}))
    assert report.targets_of(run) == ("capsem-arm",)
    assert run.manifest.labels == {"version": "0.16.1", "commit": "abc"}
    assert not verify.verify(run.path).problems


def test_one_name_cannot_stand_for_many_systems(tmp_path):
    with pytest.raises(UsageError, match="--target names one system, and the file is of 13: archil"):
        importing.take(COMPUTESDK, tmp_path, target="cloud")
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_file_without_a_time_sorts_before_all_others(tmp_path):
    console = tmp_path / "console"
    console.write_text("BENCH_START kevlar\nBENCH getpid 10 2000 200\nBENCH_END\n")
    taken = importing.take(console, tmp_path, target="mine")
    importing.take(KEVLAR, tmp_path)
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names[0] == taken.runs[0].run_id
    assert names[0].startswith("0000-undated-")
    assert not verify.verify(tmp_path / "runs" / names[0]).problems
    assert not importing.take(console, tmp_path, target="mine").runs[0].new


# ---- shown ----


def test_a_report_shows_figures_without_a_claim(tmp_path):
    found = report.build(load(tmp_path, importing.take(COMPUTESDK, tmp_path)))
    assert (found.passed, found.statuses) == (0, {"failed": 1, "unverified": 12})
    (row,) = found.rows
    archil = row.cells["archil"]
    assert (archil.status, archil.n, archil.comparison) == ("unverified", 100, None)
    assert archil.median == pytest.approx(151.93e6, rel=0.01)
    assert row.cells["codesandbox"].median is None
    assert found.warnings[0].startswith("imported, not verified: ")
    assert found.gates == ()


def test_a_cell_with_an_invocation_that_failed_has_no_number(tmp_path):
    path = DATA / "computesdk" / "sequential_tti_2026-04-30.json"
    found = report.build(load(tmp_path, importing.take(path, tmp_path)))
    assert (found.rows[0].cells["upstash"].status, found.rows[0].cells["upstash"].median) == ("failed", None)


@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "json"])
def test_every_reporter_marks_what_no_oracle_saw(tmp_path, form):
    found = report.build(load(tmp_path, importing.take(KEVLAR, tmp_path)))
    text = REPORTERS.load(form)(found)
    assert "unverified" in text
    if form in {"terminal", "markdown"}:
        assert "138.3 ?" in text
        assert "no oracle saw the work" in text
        assert "each verified" not in text


def test_the_command_line_lists_shows_and_verifies_it(tmp_path):
    home = ("--home", tmp_path)
    done = invoke(command, KEVLAR, SEL4, *home)
    assert done.return_value == 0, done.output
    assert "kevlar, imported as 20260424T105645Z-" in done.output
    assert "sel4bench, 5 runs imported, 0 there already" in done.output
    assert "imported, 54 results, targets Linux-on-HVF" in invoke(list_command, "runs", *home).output
    shown = invoke(report_command, "20260424", *home)
    assert "0/54 passed (54 unverified)" in shown.output
    verified = invoke(verify_command, "20260424", *home)
    assert verified.return_value == 0
    assert "imported from kevlar: it is what the file says; no oracle saw the work" in verified.output


def test_a_run_without_a_plan_says_so(tmp_path):
    run = load(tmp_path, importing.take(KEVLAR, tmp_path))
    with pytest.raises(UsageError, match="was imported: it has no plan, and no oracle saw its work"):
        report.plan_of(run)


# ---- verified ----


def resealed(path: Path, **changes: object) -> None:
    """As a forger would who knows the format."""
    run = bundle.load(path)
    files = {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in bundle.members(path)
    }
    manifest = msgspec.structs.replace(run.manifest, files=files, **changes)
    manifest = msgspec.structs.replace(manifest, seal=bundle.seal_of(manifest))
    (path / bundle.MANIFEST).write_bytes(bundle.encoded(manifest))


def test_a_figure_that_is_not_in_the_file_is_found_however_well_it_is_sealed(tmp_path):
    taken = importing.take(LIFECYCLE, tmp_path)
    run = load(tmp_path, taken)
    forged = json.loads(msgspec.json.encode(run.results[0]))
    forged["outcome"]["measurements"][0]["samples"] = [1.0]
    results = (msgspec.convert(forged, type=type(run.results[0])), *run.results[1:])
    shutil.rmtree(run.path)
    out = bundle.Bundle.create(
        run.path,
        msgspec.structs.replace(run.manifest, state="running", seal=""),
        {"capsem": run.envelopes[run.target_envelopes["capsem"]]},
        {foreign.origin_of(run).sha256: LIFECYCLE.read_bytes()},
    )
    out.extend(results)
    written = bundle.load(run.path)
    complete = msgspec.structs.replace(written.manifest, state="complete")
    out.seal(report.encoded(report.build(msgspec.structs.replace(written, manifest=complete))))
    out.close()
    assert verify.verify(run.path).problems == ("results.jsonl: is not what the imported file says",)


def test_a_file_that_is_gone_or_another_one_is_found(tmp_path):
    run = load(tmp_path, importing.take(LIFECYCLE, tmp_path))
    kept = run.path / "objects" / foreign.origin_of(run).sha256
    kept.write_bytes(b"{}")
    resealed(run.path)
    assert "the imported file is not the one that was read" in verify.verify(run.path).problems
    kept.unlink()
    resealed(run.path)
    assert any("is not there" in problem for problem in verify.verify(run.path).problems)


@pytest.mark.parametrize(
    "origin",
    [
        {"format": "nonsense"},
        {"sha256": "../../../etc/passwd"},
        {"file": 3},
        {"format": "fake", "tool": "\x1b[2J"},
        {"target": "another"},
        {"notes": ["trust me"]},
    ],
)
def test_a_forged_origin_is_a_problem_and_no_crash(tmp_path, origin):
    run = load(tmp_path, importing.take(LIFECYCLE, tmp_path))
    resealed(run.path, plan={"imported": run.manifest.plan["imported"] | origin})
    verdict = verify.verify(run.path)
    assert verdict.problems
    assert invoke(verify_command, run.path).return_value == 1


# ---- refused ----


def test_one_bad_file_among_good_ones_is_reported_and_loses_nothing(tmp_path):
    cut = tmp_path / "cut.json"
    cut.write_bytes(LIFECYCLE.read_bytes()[:400])
    done = invoke(command, KEVLAR, cut, LUMINAGUARD, "--home", tmp_path, "--json")
    assert done.return_value == 2
    told = json.loads(done.stdout)
    assert [len(each.get("runs", ())) for each in told] == [1, 0, 1]
    assert told[1]["error"].startswith(f"{cut}: of no format that is known (as JSON: line ")
    assert done.stderr == f"benchproof: {told[1]['error']}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.json", "runs"]


def test_a_history_with_one_bad_line_gives_no_run_at_all(tmp_path):
    history = tmp_path / "X.jsonl"
    history.write_bytes(SEL4.read_bytes() + b'{"ts": 3}\n')
    with pytest.raises(Unreadable, match=r"X.jsonl: line 6: expected 'ts' to be str, found '3'"):
        importing.take(history, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name, words in {
        "pipe": "expected a file, found a pipe, a device or a socket",
        ".": "expected a file, found a folder",
        "nowhere": "cannot be read: No such file or directory",
        "dangling": "cannot be read: No such file or directory",
        "circle": "cannot be read: Too many levels of symbolic links",
        "/dev/zero": "expected a file, found a pipe, a device or a socket",
        "zero\0byte": "cannot be read: embedded null byte",
    }.items():
        with pytest.raises(Unreadable, match=words):
            importing.take(tmp_path / name, tmp_path)


def test_a_folder_that_is_refused_is_not_left_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(Unreadable, match="found a folder"):
            importing.contents(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_to_a_file_is_the_file(tmp_path):
    (tmp_path / "latest").symlink_to(KEVLAR)
    assert importing.take(tmp_path / "latest", tmp_path).runs[0].results == 54


def test_a_file_whose_name_is_no_text_is_imported(tmp_path):
    odd = tmp_path / os.fsdecode(b"h\xffst\x1b\n.jsonl")
    shutil.copy(SEL4, odd)
    done = invoke(command, odd, "--home", tmp_path, "--json")
    (taken,) = json.loads(done.stdout)
    assert taken["file"].endswith(r"h\udcffst\x1b\n.jsonl")
    assert taken["runs"][0]["targets"] == [r"h\udcffst\x1b\n"]
    assert not verify.verify(tmp_path / "runs" / taken["runs"][0]["run_id"]).problems


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(strict, "LIMIT_BYTES", 1 << 20)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Unreadable, match="longer than 1 MiB; no recorded run is"):
        importing.take(tmp_path / "huge", tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "of no format that is known; name its format with --format: kevlar, "),
        (b"hello\n", "of no format that is known; name"),
        (b"[1, 2", r"of no format that is known \(as JSON: line 1, column 6: not JSON"),
        (b'{"a": 1, "a": 2}', r"as JSON: line 1, column 10: key \"a\" for the second time"),
        (b'\xff\xfe{\0"\0', "of no format that is known"),
    ],
)
def test_what_is_not_recognised_is_told_with_the_formats(tmp_path, content, words):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(Unreadable, match=words):
        importing.take(tmp_path / "f", tmp_path)


def test_wrong_options_are_one_line(tmp_path):
    for arguments, words in (
        (["--format", "kevlra"], "unknown import format 'kevlra'; did you mean 'kevlar'?"),
        (["--label", "main"], "--label: expected NAME=TEXT"),
        (["--target", "a\x1bb"], "--target: expected a name of printable characters"),
        (["--format", "capsem"], None),
    ):
        done = invoke(command, KEVLAR, "--home", tmp_path, *arguments)
        assert str(done.exception).startswith(words) if words else done.return_value == 2, done.output
    assert not (tmp_path / "runs").exists()


def test_nothing_half_imported_remains_when_the_disk_is_full(tmp_path, monkeypatch):
    def full(self, report):
        raise StoreError("no room")

    monkeypatch.setattr(bundle.Bundle, "seal", full)
    with pytest.raises(StoreError, match="no room"):
        importing.take(KEVLAR, tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []
    assert not (tmp_path / "importing").exists()


def test_another_run_at_the_same_place_is_never_replaced(tmp_path):
    taken = importing.take(KEVLAR, tmp_path)
    run = load(tmp_path, taken)
    resealed(run.path, plan={"imported": run.manifest.plan["imported"] | {"sha256": "0" * 64}})
    with pytest.raises(StoreError, match="is there and is another one"):
        importing.take(KEVLAR, tmp_path)


def test_two_imports_at_once_make_one_run(tmp_path):
    taken: list[importing.Taken] = []
    threads = [threading.Thread(target=lambda: taken.append(importing.take(KEVLAR, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.runs[0].new for each in taken) == [False, False, False, True]
    assert not verify.verify(tmp_path / "runs" / taken[0].runs[0].run_id).problems
