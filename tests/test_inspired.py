"""What follows somebody's rules in part is called so everywhere, with what is unmet, and is held against no other."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from benchproof import gating, history, plan, policy
from benchproof import report as reports
from benchproof.analysis import versus
from benchproof.analysis.compare import STANDARD
from benchproof.analysis.inspired import Inspired, of, recorded
from benchproof.errors import UsageError
from benchproof.exports import of_runs
from benchproof.exports.tables import FIGURES
from benchproof.reporters import FORMATS
from benchproof.reporters.export import numbers
from benchproof.store import bundle
from exports import HOSTILE, report
from runs import passed, write

TPC = {"url": "https://www.tpc.org/tpcc/", "unmet": ["no independent audit", "no keying and think times"]}
GETPID = TPC | {"benchmarks": ["syscall.getpid"]}
SAID = "inspired by TPC-C: no TPC-C result; unmet: no independent audit; no keying and think times"


def document(tables=None, *benchmarks: str):
    names = list(benchmarks or ("syscall.getpid", "syscall.stat"))
    own = {"inspired": tables} if tables is not None else {}
    return {"targets": {"linux": {"kind": "host"}}, "suites": {"s": {"benchmarks": names}}, "run": {"seed": 1}} | own


def a_plan(table=GETPID, **others):
    return plan.parse(document({"TPC-C": table} | others), where="plan.toml")


def parameters() -> dict:
    return next(case.parameters for case in a_plan().cases if case.name == "syscall.getpid")


def a_run(home, number, tables, *values):
    return bundle.load_sealed(
        write(home, number, passed(*(values or range(100, 110))), parameters=parameters(), plan=document(tables))
    )


# the plan


def test_a_table_names_the_rules_and_what_of_them_is_unmet():
    (found,) = a_plan().inspired
    assert found == Inspired(upstream="TPC-C", **{key: GETPID[key] for key in ("url",)}, **_tuples(GETPID))
    assert str(found) == SAID
    assert of("syscall.getpid", [found]) == found
    assert of("syscall.stat", [found]) is None
    (of_all,) = a_plan(TPC).inspired
    assert of("syscall.stat", [of_all]) == of_all


def _tuples(table):
    return {key: tuple(table[key]) for key in ("unmet", "benchmarks")}


def test_a_plan_is_recorded_with_what_it_is_inspired_by():
    once = a_plan()
    document = msgspec.json.decode(msgspec.json.encode(once.document))
    assert plan.parse(document, where="run", recorded=True).inspired == once.inspired == recorded(document)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "unmet: expected the rules that are not met"),
        (TPC | {"unmet": []}, "unmet: expected the rules that are not met"),
        ("https://x", "unmet: expected the rules that are not met"),
        (TPC | {"unmet": "audit"}, "unmet: Expected `array`"),
        (TPC | {"unmet": [" "]}, "expected at most 300 printable characters"),
        (TPC | {"unmet": ["a\nb"]}, "expected at most 300 printable characters"),
        (TPC | {"unmet": ["a"] * 51}, "expected at most 50 rules, found 51"),
        (TPC | {"url": "javascript:alert(1)"}, "url: expected where the rules are"),
        (TPC | {"benchmarks": ["syscall.getpod"]}, "unknown benchmark 'syscall.getpod'; did you mean 'syscall.getpid'"),
        (TPC | {"rules": []}, "unknown key 'rules'"),
        (TPC | {"upstream": "x"}, "upstream: expected as the name of the table"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(table, words):
    with pytest.raises(UsageError, match=re.escape("plan.toml: inspired.TPC-C: ") + ".*" + re.escape(words)):
        a_plan(table)


@pytest.mark.parametrize(
    ("other", "words"),
    [(GETPID, "'syscall.getpid' is inspired by TPC-C already"), (TPC, "benchmarks: expected names")],
)
def test_a_benchmark_is_inspired_by_one_set_of_rules(other, words):
    with pytest.raises(UsageError, match=words):
        a_plan(GETPID, other=other)


# the report, in every format


def labelled(upstream="TPC-C", benchmarks=("syscall.getpid",)):
    found = Inspired(upstream=upstream, unmet=("no independent audit",), benchmarks=benchmarks)
    return msgspec.structs.replace(report(), inspired=(found,))


@pytest.mark.parametrize(
    "form",
    [
        *("terminal", "markdown", "html", "summary", "breakdown", "csv", "json", "junit", "github"),
        *("pytest-benchmark", "bencher", "google-benchmark", "openmetrics"),
    ],
)
def test_every_format_says_that_a_figure_is_inspired(form):
    text = FORMATS.load(form)(labelled())
    assert "TPC-C" in text
    assert "inspired" in text
    assert "inspired" not in FORMATS.load(form)(report()).replace('"inspired":[]', "").replace('"inspired": []', "")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "csv", "json", "github", "junit"])
def test_what_is_unmet_stands_beside_it(form):
    assert "no independent audit" in " ".join(FORMATS.load(form)(labelled()).split())


def test_only_the_benchmark_that_is_inspired_is_called_so():
    names = {number.name for number in numbers(labelled())}
    assert "syscall.getpid.latency (inspired by TPC-C)" in names
    assert "memory.memcpy.bytes size=1024" in names


def test_where_every_benchmark_is_inspired_it_is_said_once_on_top():
    text = FORMATS.load("terminal")(labelled(benchmarks=()))
    assert " ".join(text.split()).startswith("note: every benchmark: inspired by TPC-C: no TPC-C result; unmet: no")
    assert "(inspired by TPC-C)" not in text


@pytest.mark.parametrize("form", ["markdown", "html", "junit"])
def test_a_hostile_upstream_stays_text(form):
    text = FORMATS.load(form)(labelled(HOSTILE.replace("\ud800", "")))
    assert "<script" not in text
    assert "\n::error" not in text


# what it is held against


def between(one, other):
    halves = [reports.half(run, "linux", reports.build(run)) for run in (one, other)]
    (found,) = (
        row
        for row in versus.between(*halves, context=(), vary=("system",), design=STANDARD).rows
        if row.benchmark == "syscall.getpid"
    )
    return found.comparison


def test_an_inspired_figure_is_not_compared_with_one_that_claims_to_meet_the_rules(tmp_path):
    inspired, plain = a_run(tmp_path, 0, {"TPC-C": GETPID}), a_run(tmp_path, 1, None)
    for pair in ((inspired, plain), (plain, inspired)):
        found = between(*pair)
        assert (found.verdict, found.ratio) == ("incomparable", None)
        assert "they follow different rules" in found.reason
        assert SAID in found.reason


def test_figures_that_leave_other_rules_unmet_are_not_compared(tmp_path):
    less = GETPID | {"unmet": ["no independent audit"]}
    runs = [a_run(tmp_path, number, {"TPC-C": each}) for number, each in enumerate((GETPID, less, GETPID))]
    assert between(runs[0], runs[1]).verdict == "incomparable"
    assert between(runs[0], runs[2]).ratio is not None


def test_a_comparison_says_what_its_figures_are_inspired_by(tmp_path):
    runs = [a_run(tmp_path, number, {"TPC-C": GETPID}) for number in range(2)]
    halves = [reports.half(run, "linux", reports.build(run)) for run in runs]
    found = versus.between(*halves, context=(), vary=("system",), design=STANDARD)
    assert [SAID in warning for warning in found.warnings].count(True) == 2


def test_a_gate_on_a_ratio_between_the_two_has_no_answer(tmp_path):
    inspired, plain = a_run(tmp_path, 0, {"TPC-C": GETPID}), a_run(tmp_path, 1, None)
    (tmp_path / "ci.toml").write_text('[gates."syscall.getpid"]\nstatistic = "ratio"\nlimit = "< 2"\n')
    asked = policy.load(tmp_path / "ci.toml")
    for run, base, verdict in (
        (inspired, plain, "undecided"),
        (inspired, a_run(tmp_path, 2, {"TPC-C": GETPID}), "met"),
    ):
        (found,) = gating.judged(run, asked, baseline="it", find=lambda _name, base=base: base).report.gates
        assert found.verdict == verdict, found.reason
        assert ("different rules" in found.reason) == (verdict == "undecided")


def test_no_trend_goes_from_inspired_figures_on_to_others(tmp_path):
    a_run(tmp_path, 0, {"TPC-C": GETPID}, 1.0)
    a_run(tmp_path, 1, None, 1.0)
    with history.opened(tmp_path, None) as index:
        assert index.update().problems == ()
        rules = [each.environment.get("harness.rules") for each in index.series(what="syscall.getpid")]
    assert rules == [SAID, None]


def test_a_monitoring_system_is_not_told_of_inspired_figures_in_place_of_others(tmp_path):
    a_run(tmp_path, 0, None, 1.0)
    a_run(tmp_path, 1, {"TPC-C": GETPID}, 2.0)
    with history.opened(tmp_path, None) as index:
        index.update()
        assert [each.value for each in index.newest()] == [1.0]


def test_an_export_says_it_beside_the_figure(tmp_path):
    run = a_run(tmp_path, 0, {"TPC-C": GETPID})
    names = [column.name for column in FIGURES.columns]
    found = {row["benchmark"]: row for row in (dict(zip(names, row, strict=True)) for row in of_runs.figures(run.path))}
    assert found["syscall.getpid"]["labels"] == (SAID,)
    assert found["syscall.stat"]["labels"] == ()


def test_the_example_in_the_documentation_is_read_as_it_stands(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "exports.md").read_text()
    (table,) = re.findall(r"```toml\n(\[inspired.*?)```", page, re.DOTALL)
    path = tmp_path / "plan.toml"
    path.write_text(f"[targets.host]\n{table}")
    (found,) = plan.load(path).inspired
    assert len(found.unmet) == 3
