"""Figures for committing: a version is written once, what has no figure says why, the page is made of the files."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchproof import heading, plan, releases, report, results_page
from benchproof.cli import benchproof
from benchproof.errors import StoreError, UsageError
from benchproof.reporters import FORMATS
from benchproof.store import bundle

ROOT = Path(__file__).parent.parent
PLAN = """
[targets.host]
[suites.calls]
benchmarks = ["syscall.getpid"]
[suites.life]
benchmarks = ["lifecycle.exec"]
[run]
blocks = 2
quick = true
[gates."syscall.getpid"]
statistic = "max"
limit = "< 1 s"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """With one run of two suites, of which the host can do one."""
    folder = tmp_path_factory.mktemp("releases")
    (folder / "plan.toml").write_text(PLAN)
    ran = invoke("run", "--plan", str(folder / "plan.toml"), "--home", str(folder))
    assert ran.exit_code in {0, 3}, ran.output
    return folder


def invoke(*words):
    return CliRunner().invoke(benchproof, [*words], standalone_mode=False)


def published(home, into, version="0.16.1", *more):
    return invoke("publish", "--home", str(home), "--into", str(into), "--version", version, *more)


def only_run(home):
    (path,) = (home / "runs").iterdir()
    return bundle.load_sealed(path)


def test_each_suite_becomes_a_file_with_every_sample_and_their_least_mean_and_most(home, tmp_path):
    assert published(home, tmp_path).exception is None
    document = json.loads((tmp_path / "calls" / "data_0.16.1.json").read_text())
    (figures,) = document["figures"]
    samples = [sample for invocation in figures["samples"] for sample in invocation]
    recorded = [
        sample
        for each in only_run(home).results
        for m in getattr(each.outcome, "measurements", ())
        for sample in m.samples
    ]
    assert sorted(samples) == sorted(recorded)
    assert figures["extent"] == {
        "n": len(samples),
        "min": min(samples),
        "mean": statistics.fmean(samples),
        "max": max(samples),
    }
    assert document["run_id"] == only_run(home).manifest.run_id
    assert {"host", "machine", "system", "probe", "authority"} <= document["targets"]["host"].keys()


def test_what_has_no_figure_is_there_with_its_reason_and_without_numbers(home, tmp_path):
    published(home, tmp_path)
    (figures,) = json.loads((tmp_path / "life" / "data_0.16.1.json").read_text())["figures"]
    assert figures["status"] == "unsupported"
    assert "cannot be frozen and cloned" in figures["notes"][0]
    assert (figures["samples"], figures["extent"], figures["median"]) == ([], None, None)


def test_a_version_is_written_once_and_other_figures_for_it_leave_everything_as_it_was(home, tmp_path):
    published(home, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    assert "there already, the same" in published(home, tmp_path).output
    life = tmp_path / "life" / "data_0.16.1.json"
    life.write_bytes(life.read_bytes().replace(b'"blocks": 2', b'"blocks": 3'))
    (tmp_path / "calls" / "data_0.16.1.json").unlink()
    refused = published(home, tmp_path)
    assert isinstance(refused.exception, StoreError)
    assert "holds other figures" in str(refused.exception)
    assert not (tmp_path / "calls" / "data_0.16.1.json").exists()
    assert life.read_bytes() != before[life]


@pytest.mark.parametrize("version", ["../x", "", "a b", "x" * 101, "-"])
def test_a_version_that_is_no_name_of_a_file_is_refused(home, tmp_path, version):
    assert isinstance(published(home, tmp_path, version).exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_the_latest_release_in_full_and_a_line_for_each(home, tmp_path):
    page = tmp_path / "docs" / "results.md"
    published(home, tmp_path)
    published(home, tmp_path, "0.17.0", "--page", str(page))
    text = page.read_text()
    assert "| syscall.getpid.latency | host |" in text
    assert "*unsupported*: this target cannot be frozen" in text
    assert text.count("| 0.16.1 | ") == 2
    assert text.count("| 0.17.0 | ") == 3  # at the head of the page, too
    assert "| syscall.getpid | host | max |" in text


def test_a_release_on_another_machine_says_what_changed_beside_the_system(home, tmp_path):
    published(home, tmp_path)
    one, _ = releases.read(tmp_path)
    other = json.loads((tmp_path / "calls" / "data_0.16.1.json").read_text())
    other["targets"]["host"] |= {"machine": "sha256:other", "system": "sha256:new"}
    (tmp_path / "calls" / "data_9.json").write_text(json.dumps(other | {"version": "9", "measured_at": "2999-01-01"}))
    text = results_page.render(releases.read(tmp_path))
    _, line = [line for line in text.splitlines() if line.startswith("| 9 |")]
    assert line.endswith("| machine |")
    assert one.suite == "calls"


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"benchproof": 1}', b'{"benchproof": "0", "format": 1, "x": 2}', b"\xff"]
)
def test_a_file_that_is_none_of_ours_is_named(tmp_path, content):
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "data_1.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"data_1\.json"):
        releases.read(tmp_path)


def test_files_that_other_tools_committed_there_are_left_alone(home, tmp_path):
    published(home, tmp_path)
    shutil_copy = Path(__file__).parent / "data" / "capsem"
    other = next(shutil_copy.rglob("data_*.json"), None)
    (tmp_path / "calls" / "data_0.json").write_bytes(other.read_bytes() if other else b'{"version": "0.1.0"}')
    assert [each.version for each in releases.read(tmp_path)] == ["0.16.1", "0.16.1"]


# the head of the page, badges, and where the evidence is


def page_of(home, tmp_path, *more):
    page = tmp_path / "docs" / "results.md"
    done = published(home, tmp_path / "into", "0.16.1", "--page", str(page), *more)
    if done.exception:
        raise done.exception
    return page.read_text()


def test_the_page_begins_with_version_day_status_maintainer_and_issue(home, tmp_path):
    said = ("title=Speed of x", "status=draft", "maintainer=a|b", "issue=https://example.org/541")
    text = page_of(home, tmp_path, *(word for each in said for word in ("--document", each)))
    day = only_run(home).manifest.created_at[:10]
    assert text.splitlines()[1:6] == [
        "# Speed of x",
        "",
        "| version | last updated | status | maintainer | issue |",
        "| --- | --- | --- | --- | --- |",
        f"| 0.16.1 | {day} | draft | a\\|b | https://example.org/541 |",
    ]


def test_a_page_of_which_nobody_says_whose_it_is_says_that(home, tmp_path):
    assert "| 0.16.1 | 20" in page_of(home, tmp_path)
    assert "not stated | not stated | not stated |" in page_of(home, tmp_path)


def test_a_plan_says_whose_document_it_is_and_whoever_publishes_has_the_last_word():
    plan_says, labels_say = {"status": "draft", "maintainer": "a"}, {"maintainer": "b", "issue": "7", "branch": "main"}
    found = heading.together(plan_says, labels_say, heading.given(["status=final"]))
    assert found == {"status": "final", "maintainer": "a", "issue": "7"}
    assert heading.together(plan_says, {}, heading.given(["status="])) == {"maintainer": "a"}


@pytest.mark.parametrize("said", ["owner=x", "status=a\nb", "status=" + "x" * 201])
def test_a_head_that_makes_no_sense_is_refused(home, tmp_path, said):
    assert isinstance(published(home, tmp_path, "1", "--document", said).exception, UsageError)


def test_a_plan_with_a_document_of_other_keys_is_refused(tmp_path):
    (tmp_path / "plan.toml").write_text('[targets.host]\n[document]\nowner = "x"\n')
    with pytest.raises(UsageError, match="document: unknown key 'owner'"):
        plan.load(tmp_path / "plan.toml")


def test_every_figure_names_the_lines_of_its_evidence_and_links_to_them_where_they_can_be_had(home, tmp_path):
    text = page_of(home, tmp_path)
    run = only_run(home).manifest.run_id
    (line,) = [line for line in text.splitlines() if line.startswith("| syscall.getpid.latency | host |")]
    lines = json.loads((tmp_path / "into" / "calls" / "data_0.16.1.json").read_text())["figures"][0]["lines"]
    recorded = [number for number, each in enumerate(only_run(home).results, 1) if each.benchmark == "syscall.getpid"]
    assert sorted(lines) == recorded
    assert line.rstrip(" |").rpartition(" | ")[2].startswith(f"results.jsonl:{recorded[0]}")
    assert f"run {run}, which `benchproof verify` computes anew: manifest.json, envelope.json" in text
    linked = page_of(home, tmp_path / "linked", "--evidence-url", "https://example.org/{run_id}/{version}/{path}")
    assert f"](<https://example.org/{run}/0.16.1/results.jsonl>) |" in linked
    assert f"[manifest.json](<https://example.org/{run}/0.16.1/manifest.json>)" in linked


@pytest.mark.parametrize(
    "template",
    [
        *("https://example.org/", "javascript:alert({path})", "https://a/{path} x", "//evil/{path}", "https://a/{path"),
        *("https://a/{run}/{path}", "https://a/<{path}>", "data:text/html,{path}", "/etc/{path}", "{path.__class__}"),
    ],
)
def test_an_address_of_evidence_that_no_page_should_link_to_is_refused(home, tmp_path, template):
    assert isinstance(published(home, tmp_path, "1", "--evidence-url", template).exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_a_committed_file_cannot_make_the_page_link_to_anything(home, tmp_path):
    published(home, tmp_path)
    path = tmp_path / "calls" / "data_0.16.1.json"
    document = json.loads(path.read_text())
    for evil in ("javascript:alert(1)//{path}", "https://a/>)[x](javascript:1)/{path}"):
        path.write_text(json.dumps(document | {"evidence": evil, "document": {"title": "<b>\n# x"}}))
        text = results_page.render(releases.read(tmp_path))
        assert "](<" not in text
        assert "<b>" not in text
        assert "\n# x" not in text


def test_the_badges_of_the_latest_releases_are_on_the_page(home, tmp_path):
    text = page_of(home, tmp_path, "--badges", str(tmp_path / "docs" / "badges"))
    assert "![gate syscall.getpid: host met](<badges/calls-syscall.getpid" in text
    assert "![coverage: 0/1 verified](<badges/life-coverage" in text
    for path in re.findall(r"\]\(<(badges/[^>]*)>", text):
        assert (tmp_path / "docs" / path).read_text().startswith("<svg")


def test_badges_without_a_page_and_a_verdict_that_is_none_are_refused(home, tmp_path):
    assert isinstance(published(home, tmp_path, "1", "--badges", str(tmp_path)).exception, UsageError)
    published(home, tmp_path)
    (release, _) = releases.read(tmp_path)
    odd = msgspec.structs.replace(release, gates=[msgspec.structs.replace(release.gates[0], verdict="splendid")])
    with pytest.raises(StoreError, match="expected the verdict of a gate, found 'splendid'"):
        results_page.badges_of(odd)


def test_runs_that_git_would_keep_are_told_of_and_ignored_ones_are_not(home, tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copytree(home, tmp_path / ".benchproof")
    words = (tmp_path / ".benchproof", tmp_path / "benchmarks")
    assert "add it to .gitignore" in published(*words).stderr
    (tmp_path / ".gitignore").write_text(".benchproof/\n")
    assert "gitignore" not in published(*words).stderr
    assert ".benchproof/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "    .benchproof/" in (ROOT / "docs" / "releases.md").read_text().splitlines()


def test_hostile_words_stay_text_in_the_page(home, tmp_path):
    published(home, tmp_path)
    path = tmp_path / "calls" / "data_0.16.1.json"
    document = json.loads(path.read_text())
    document["labels"] = {"branch": "<script>alert(1)</script>|x\n# head"}
    document["figures"][0]["metric"] = "`a`|<b>"
    path.write_text(json.dumps(document))
    text = results_page.render(releases.read(tmp_path))
    assert "<script" not in text
    assert "<b>" not in text
    assert "\n# head" not in text


def test_the_breakdown_has_a_line_an_invocation_and_its_extremes_and_gates(home):
    found = report.build(only_run(home))
    text = FORMATS.load("breakdown")(found)
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert {"1", "2", "min", "mean", "max", "limit", "gate"} <= lines.keys()
    assert "max < 1 s" in lines["limit"]
    assert "met" in lines["gate"]
    assert "unsupported" in lines["status"]
