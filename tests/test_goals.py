"""The table of targets: near, variable, missed and not measured are told apart, and none of it changes a verdict."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from benchproof import policy, report
from benchproof.analysis import goals
from benchproof.analysis.limit import Limit
from benchproof.cli import benchproof
from benchproof.errors import UsageError
from benchproof.model import Failed
from benchproof.reporters import markdown, terminal
from benchproof.reporters.goals import HEAD
from benchproof.store import bundle
from test_gate_verb import a_run

LIMIT = Limit.parse("< 100 ms")


@pytest.mark.parametrize(
    ("millis", "status"),
    [
        ([50] * 6, "PASS"),
        ([89.9] * 6, "PASS"),
        ([90] * 6, "Near target"),
        ([100] * 6, "Near target"),  # the gate is not met: `<` is strict
        ([110] * 6, "Near target"),
        ([111] * 6, "Missed"),
        ([50, 50, 50, 50, 50, 200], "Variable"),  # the interval of six values is all of them
        ([50] * 19 + [200], "PASS"),  # the interval of twenty is not
        ([50, 120], "Variable"),
        ([120, 130], "Missed"),
    ],
)
def test_a_status_says_whether_the_limit_can_be_relied_upon(millis, status):
    assert goals.status(LIMIT, sorted(millis)[len(millis) // 2] * 1e6, [each * 1e6 for each in millis]) == status


def test_more_is_better_where_the_limit_says_so():
    limit = Limit.parse(">= 1000 op/min")
    assert limit.bound == pytest.approx(1000 / 60)
    assert [goals.status(limit, each / 60, [each / 60] * 6) for each in (2000, 1050, 950, 500)] == [
        *("PASS", "Near target", "Near target", "Missed")
    ]


def a_report(home, millis, **about):
    """Of a run whose plan promises 100 ms."""
    table = {"statistic": "median", "limit": "< 100 ms", "title": "Spawn", "priority": "High"} | about
    outcomes = [each * 1e6 if isinstance(each, float) else each for each in millis]
    gates = {"lifecycle.provision": {key: each for key, each in table.items() if each is not None}}
    return report.build(bundle.load(a_run(home, "one", gates=gates, t={"lifecycle.provision": outcomes})))


def test_the_table_has_the_columns_of_the_guide_and_is_in_both_reports(tmp_path):
    found = a_report(tmp_path, [95.0] * 6)
    text, page = terminal.render(found, width=200), markdown.render(found)
    for each in (*HEAD, "Spawn", "< 100 ms", "95.00 ms", "Near target (warning)", "High"):
        assert each in text, each
        assert each.replace("<", "&lt;") in page.replace("\\<", "&lt;").replace("<", "&lt;"), each
    assert "targets" in terminal.gates(found)
    assert found.gates[0].verdict == "met"


def test_what_has_no_verified_figure_is_not_measured(tmp_path):
    (verdict,) = a_report(tmp_path, [*[50.0] * 5, Failed(violations=("wrong",))]).gates
    assert (verdict.status, verdict.verdict) == ("Not measured", "not met")


def test_a_gate_without_a_priority_is_in_no_table_of_targets(tmp_path):
    found = a_report(tmp_path, [50.0] * 6, title=None, priority=None)
    assert found.gates[0].status is None
    assert "## Targets" not in markdown.render(found)


def test_what_a_policy_promises_and_the_run_lost_is_not_measured(tmp_path):
    a_run(tmp_path, "one", t={"lifecycle.provision": [50e6] * 6})
    (tmp_path / "policy.toml").write_text(
        '[gates."lifecycle.exec"]\nstatistic = "median"\nlimit = "< 1 s"\npriority = "Medium"\n'
    )
    words = ["gate", "last", "--home", str(tmp_path), "--policy", str(tmp_path / "policy.toml")]
    done = CliRunner().invoke(benchproof, words, standalone_mode=False)
    assert done.return_value == 1
    assert "Not measured (pending)" in done.stdout


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"must_pass": True, "priority": "High"}, "expected a limit on a figure"),
        ({"statistic": "ratio", "limit": "< 1.1", "priority": "High"}, "expected a limit on a figure"),
        ({"statistic": "max", "limit": "< 1 s", "priority": "Hihg"}, "'High'"),
        ({"statistic": "max", "limit": "< 1 s", "title": "Tool call"}, "title: expected priority"),
    ],
)
def test_a_priority_that_makes_no_sense_is_a_wrong_question(table, words):
    known = {"lifecycle.provision": {}}
    with pytest.raises(UsageError, match=words):
        list(policy.gates_of({"lifecycle.provision": table}, targets=["t"], known=known, where="test"))
