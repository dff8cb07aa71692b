"""Figures for committing: a version is written once, what has no figure says why, the page is made of the files."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchproof import releases, report, results_page
from benchproof.cli import benchproof
from benchproof.errors import StoreError, UsageError
from benchproof.reporters import FORMATS
from benchproof.store import bundle

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
    assert text.count("| 0.17.0 | ") == 2
    assert "| syscall.getpid | host | max |" in text


def test_a_release_on_another_machine_says_what_changed_beside_the_system(home, tmp_path):
    published(home, tmp_path)
    one, _ = releases.read(tmp_path)
    other = json.loads((tmp_path / "calls" / "data_0.16.1.json").read_text())
    other["targets"]["host"] |= {"machine": "sha256:other", "system": "sha256:new"}
    (tmp_path / "calls" / "data_9.json").write_text(json.dumps(other | {"version": "9", "measured_at": "2999-01-01"}))
    text = results_page.render(releases.read(tmp_path))
    (line,) = [line for line in text.splitlines() if line.startswith("| 9 |")]
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
