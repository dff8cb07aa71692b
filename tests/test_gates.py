"""A gate is met by a verified figure within its limit and by nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from benchproof import plan, report
from benchproof.analysis import gate, matrix
from benchproof.analysis.gate import Gate
from benchproof.analysis.limit import Limit
from benchproof.analysis.stats import LEAST_OF
from benchproof.document import DEFAULT
from benchproof.errors import UsageError
from benchproof.model import Failed, Invalid, Measurement, Passed, Result, Unsupported, Unverified
from benchproof.reporters import FORMATS, terminal
from benchproof.store import bundle
from benchproof.verify import verify
from test_bundle import reseal
from test_reporters import HOSTILE, a_report

ROOT = Path(__file__).parent.parent
CASE = ("t", "b", {}, 1)


def measured(*samples, metric="b.latency", unit="ns"):
    return Measurement(metric=metric, unit=unit, better="lower", clock="target", iterations=1, samples=samples)


def passed(*samples, **more):
    return Passed(measurements=(measured(*samples, **more),))


def result(block, outcome, *, attempt=1, target="t"):
    known = {"run_id": "r", "target": target, "benchmark": "b", "parameters": {}, "tier": 1, "block": block}
    return Result(**known, started_at="", duration_ns=1, envelope="", attempt=attempt, outcome=outcome)


def a_gate(limit="< 1.2 s", *, statistic="max", **more):
    known = {"key": "b", "benchmark": "b", "metric": None} | more
    return Gate(**known, statistic=statistic, limit=Limit.parse(limit)) if limit else Gate(**known)


def judged(asked, *outcomes, blocks=None):
    """The only verdict of a gate on one case, one outcome a block."""
    results = [result(*each) for each in enumerate(outcomes)]
    (found,) = gate.judge([asked], [CASE], results, blocks=defaultdict(lambda: blocks or len(outcomes)))
    return found


# ---- limits ----


@pytest.mark.parametrize(
    ("text", "bound", "unit"),
    [
        ("< 1.2 s", 1_200_000_000, "ns"),
        ("<=1.1ms", 1_100_000, "ns"),
        ("< 12 MB", 12_000_000, "bytes"),
        ("< 12 MiB", 12_582_912, "bytes"),
        (" >= 2.5  GB/s ", 2_500_000_000, "bytes/s"),
        ("> 1 kop/s", 1000, "op/s"),
        ("<= 400 instructions", 400, "instructions"),
        (">= 1", 1, "count"),
        ("< 0.3 %", 0.003, "ratio"),
    ],
)
def test_a_limit_is_read_without_rounding(text, bound, unit):
    found = Limit.parse(text)
    assert (found.bound, found.unit) == (bound, unit)


@pytest.mark.parametrize(
    ("limit", "figure", "met"),
    [
        ("< 1.2 s", 1_200_000_000.0, False),
        ("< 1.2 s", 1_199_999_999.9, True),
        ("<= 1.2 s", 1_200_000_000.0, True),
        ("<= 1.2 s", 1_200_000_000.1, False),
        ("> 1.2 s", 1_200_000_000.0, False),
        (">= 1.2 s", 1_200_000_000.0, True),
        (">= 1.2 s", 1_199_999_999.9, False),
        ("<= 0 ns", 0.0, True),
        ("< 0 ns", 0.0, False),
    ],
)
def test_at_the_edge_the_comparison_is_exactly_the_one_that_was_written(limit, figure, met):
    found = judged(a_gate(limit), passed(figure))
    assert found.verdict == ("met" if met else "not met")
    assert found.figure == figure


def test_the_margin_is_the_room_that_is_left_and_negative_beyond_the_limit():
    limits = ("< 100 ns", "< 80 ns", "> 80 ns", "> 100 ns", "< 90 ns")
    assert [judged(a_gate(limit), passed(90.0)).margin for limit in limits] == [10, -10, 10, -10, 0]


# ---- statistics ----

INVOCATIONS = (measured(1.0, 2.0, 9.0), measured(3.0, 4.0, 5.0), measured(6.0, 8.0, 7.0))  # medians 2, 4, 7


@pytest.mark.parametrize(("statistic", "value"), [("median", 4.0), ("mean", 13 / 3), ("min", 1.0), ("max", 9.0)])
def test_median_and_mean_are_over_invocations_and_extremes_over_all_samples(statistic, value):
    assert gate.value(statistic, INVOCATIONS) == value


@pytest.mark.parametrize("statistic", LEAST_OF)
def test_a_percentile_is_an_actual_sample_by_nearest_rank_and_not_the_maximum(statistic):
    least, percent = LEAST_OF[statistic], float(statistic[1:])
    values = [measured(*map(float, range(least, 0, -2))), measured(*map(float, range(least - 1, 0, -2)))]
    assert gate.value(statistic, values) == percent * least / 100 < least


@pytest.mark.parametrize("statistic", LEAST_OF)
def test_a_percentile_that_the_samples_cannot_support_does_not_meet_its_gate(statistic):
    least = LEAST_OF[statistic]
    asked = a_gate("< 1 s", statistic=statistic)
    few, enough = (judged(asked, passed(*[5.0] * (least - 2)), passed(*[5.0] * more)) for more in (1, 2))
    assert (few.verdict, few.figure) == ("undecided", None)
    assert few.reason == f"too few samples: {statistic} needs {least}, found {least - 1}"
    assert enough.verdict == "met"


# ---- what is not a verified figure meets nothing ----

GOOD = passed(5.0)
IMPORTED = Unverified(source="hyperfine", measurements=(measured(5.0),))


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([], "missing: not run"),
        ([GOOD, Failed(violations=("wrong sum",)), GOOD], "failed: wrong sum (1 of 3)"),
        ([GOOD, Unsupported(reason="no call"), GOOD], "unsupported: no call (1 of 3)"),
        ([Unsupported(reason="no call", missing="Linux")], "unsupported: no call; to get it: Linux"),
        ([IMPORTED], "unverified: stated by hyperfine, not verified"),
        ([GOOD, IMPORTED], "unverified: stated by hyperfine, not verified (1 of 2)"),
    ],
)
@pytest.mark.parametrize("limit", ["< 1 s", None], ids=["limit", "must pass"])
def test_an_outcome_without_a_verified_figure_does_not_meet_a_gate_and_says_why(outcomes, reason, limit):
    found = judged(a_gate(limit), *outcomes, blocks=max(1, len(outcomes)))
    assert (found.verdict, found.figure, found.margin, found.reason) == ("not met", None, None, reason)


@pytest.mark.parametrize("limit", ["< 1 s", None], ids=["limit", "must pass"])
def test_what_the_laboratory_spoiled_is_no_answer(limit):
    found = judged(a_gate(limit), GOOD, Invalid(reason="noise"), GOOD)
    assert (found.verdict, found.figure, found.reason) == ("undecided", None, "invalid: noise (1 of 3)")


@pytest.mark.parametrize("outcomes", [[], [GOOD]])
def test_a_run_that_is_known_to_have_been_ended_early_gives_no_answer(outcomes):
    results = [result(*each) for each in enumerate(outcomes)]
    (found,) = gate.judge([a_gate()], [CASE], results, blocks=defaultdict(lambda: 3), complete=False)
    assert found.verdict == "undecided"
    assert found.reason.startswith("missing: ")


def test_fewer_invocations_than_a_gate_asks_for_are_insufficient_evidence():
    few, enough = (judged(a_gate(least=3), *[GOOD] * n) for n in (2, 3))
    assert (few.verdict, enough.verdict) == ("undecided", "met")
    assert few.reason == "insufficient evidence: 2 invocations passed, the gate asks for 3"


def test_a_run_that_was_ended_early_meets_no_gate():
    for limit in ("< 1 s", None):
        found = judged(a_gate(limit), GOOD, GOOD, blocks=3)
        assert (found.verdict, found.reason) == ("not met", "missing: 2 of 3 invocations are on record")


def test_a_wrong_answer_of_the_warm_up_block_is_a_wrong_answer():
    results = [result(-1, Failed(violations=("crashed",))), result(0, GOOD)]
    for limit in ("< 1 s", None):
        (found,) = gate.judge([a_gate(limit)], [CASE], results, blocks=defaultdict(lambda: 1))
        assert found.reason == "failed: crashed (1 of 2)"


def test_a_few_invalid_invocations_are_borne_by_a_limit_as_in_the_matrix_but_not_where_all_must_pass():
    outcomes = [Invalid(reason="noise"), *[GOOD] * 9]
    assert judged(a_gate("< 1 s"), *outcomes).verdict == "met"
    assert judged(a_gate(None), *outcomes).reason == "invalid: noise (1 of 10)"


def test_an_invocation_that_was_invalid_and_then_passed_has_passed():
    results = [result(0, Invalid(reason="noise")), result(0, GOOD, attempt=2)]
    (found,) = gate.judge([a_gate(None)], [CASE], results, blocks=defaultdict(lambda: 1))
    assert (found.verdict, found.n, found.figure) == ("met", 1, None)


def test_a_metric_that_the_benchmark_does_not_have_is_missing_and_those_it_has_are_named():
    found = judged(a_gate(key="b.size", metric="b.size"), GOOD)
    expected = "missing: 0 of 1 invocations have this metric; the metrics of 'b': b.latency"
    assert (found.verdict, found.reason) == ("not met", expected)


def test_a_metric_that_some_invocations_lack_is_missing():
    found = judged(a_gate(), GOOD, Passed(measurements=()))
    assert found.reason == "missing: 1 of 2 invocations have this metric"


def test_of_several_metrics_a_gate_names_one():
    both = Passed(measurements=(measured(5.0), measured(7.0, metric="b.size", unit="bytes")))
    assert judged(a_gate(), both).reason == "missing: 'b' has several metrics, a gate names one: b.latency, b.size"
    assert judged(a_gate("< 8 B", key="b.size", metric="b.size"), both).figure == 7


def test_a_limit_in_another_unit_than_the_metric_is_not_met():
    assert judged(a_gate("< 1 MB"), GOOD).reason == "wrong unit: the limit is in bytes, the metric in ns"


def test_a_plain_number_bounds_counts_and_ratios():
    for unit in ("count", "ratio"):
        assert judged(a_gate(">= 1"), passed(1.0, unit=unit)).verdict == "met"


@pytest.mark.parametrize(("mode", "verdict"), [("gate", "not met"), ("review", "review"), ("off", "off")])
def test_the_mode_says_what_becomes_of_a_limit_that_does_not_hold(mode, verdict):
    assert judged(a_gate("< 1 ns", mode=mode), GOOD).verdict == verdict
    assert judged(a_gate("< 1 s", mode=mode), GOOD).verdict == ("off" if mode == "off" else "met")


def test_a_gate_speaks_of_every_target_unless_it_names_one():
    cases = [("t", "b", {}, 1), ("u", "b", {}, 1), ("t", "c", {}, 1)]
    results = [result(0, GOOD), result(0, passed(7.0), target="u")]
    for target, expected in ((None, [("t", 5), ("u", 7)]), ("u", [("u", 7)])):
        found = gate.judge([a_gate(target=target)], cases, results, blocks=defaultdict(lambda: 1))
        assert [(each.target, each.figure) for each in found] == expected


# ---- plans ----

PLAN = "[targets.host]\n[targets.again]\nkind = 'host'\n[suites.s]\nbenchmarks = ['syscall.getpid', 'ipc.pipe']\n"


def parsed(gates):
    return plan.parse(tomllib.loads(PLAN + gates), where="plan.toml")


def gates_of(lines, key="syscall.getpid"):
    return parsed(f'[gates."{key}"]\n{lines}').gates


def test_a_gate_of_a_plan_is_read_with_its_defaults():
    (found,) = gates_of("statistic = 'p90'\nlimit = '< 1 us'")
    limit = Limit.parse("< 1 us")
    assert found == Gate(key="syscall.getpid", benchmark="syscall.getpid", metric=None, statistic="p90", limit=limit)
    (found,) = gates_of("must_pass = true\ntarget = 'again'\nmode = 'review'", key="ipc.pipe.throughput")
    expected = {"benchmark": "ipc.pipe", "metric": "ipc.pipe.throughput", "target": "again", "mode": "review"}
    assert found == Gate(key="ipc.pipe.throughput", **expected)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", ["statistic: expected one such as", '"max"', "must_pass = true"]),
        ("limit = '< 1 s'", ["statistic: expected one"]),
        ("statistic = 'max'", ["limit: expected one", '"< 1.2 s"']),
        ("must_pass = false", ["statistic: expected one"]),
        ("must_pass = true\nlimit = '< 1 s'", ["expected either must_pass or a statistic with a limit, found both"]),
        ("must_pass = 'yes'", ["must_pass", "`bool`", "`str`"]),
        ("statistic = 'maks'\nlimit = '< 1 s'", ["statistic", "'maks'", "did you mean 'max'"]),
        ("statistic = 'max'\nlimit = '< 1 s'\nmode = 'of'", ["mode", "'of'", "did you mean 'off'"]),
        ("statistic = 'max'\nlimt = '< 1 s'", ["unknown key 'limt'", "did you mean 'limit'"]),
        ("must_pass = true\ntarget = 'hosd'", ["target", "unknown target 'hosd'", "did you mean 'host'"]),
        ("must_pass = true\ntarget = ['host']", ["target", "`str", "`array`"]),
        ("statistic = 'max'\nlimit = 1.2", ["limit", "`str", "`float`"]),
        ("statistic = 'max'\nlimit = nan", ["limit", "`str", "`float`"]),
        *(
            (f"statistic = 'max'\nlimit = '{limit}'", ["limit: expected", f"found '{limit}'", *words])
            for limit, words in [
                ("1.2 s", ["a comparison", "'< 1.2 s'"]),
                ("= 1.2 s", ["a comparison"]),
                ("<", ["an amount"]),
                ("< nan", ["an amount"]),
                ("< inf s", ["an amount"]),
                ("< -1 s", ["an amount"]),
                ("< 1e3 s", ["an amount"]),
                ("< 1.2 S", ["units", "'ms'"]),
                ("< 12 MB", ["a unit of latency", "'ms'"]),
                ("< 12", ["a unit of latency", "'ms'"]),
                ("< 1 %", ["a unit of latency"]),
                ("< 1 MB/s", ["a unit of latency"]),
            ]
        ),
        (f"statistic = 'max'\nlimit = '< {'9' * 400} s'", ["limit: expected an amount that is finite"]),
    ],
)
def test_a_bad_gate_is_refused_with_its_file_and_key_and_what_was_expected(lines, words):
    with pytest.raises(UsageError) as refused:
        gates_of(lines)
    message = str(refused.value)
    assert message.startswith("plan.toml: gates.syscall.getpid: ")
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ("[gates.'syscall.getpdi']\nmust_pass = true", ["gates.syscall.getpdi: ", "did you mean 'syscall.getpid'"]),
        ("[gates.'ipc.pip.throughput']", ["expected a benchmark of this plan or one of its metrics"]),
        ("[gates.'ipc.pipe_pingpong']", ["gates.ipc.pipe_pingpong: expected a benchmark of this plan"]),
        ("[gates.'ipc.pipe.a b']", ["expected a benchmark of this plan"]),
        ("[gates.'ipc.pipe.']", ["expected a benchmark of this plan"]),
        ("[gates.syscall.getpid]\nmust_pass = true", ["gates.syscall: ", "a name with a dot needs quotes"]),
        ("[gates]\n'ipc.pipe' = '< 1 s'", ["gates.ipc.pipe: expected a table, found '< 1 s'"]),
        ("[[gates]]", ["gates: expected a table"]),
    ],
)
def test_a_gate_on_what_the_plan_does_not_measure_is_refused(gates, words):
    with pytest.raises(UsageError) as refused:
        parsed(gates)
    assert [word for word in ("plan.toml: gates", *words) if word not in str(refused.value)] == []


def test_choosing_benchmarks_or_targets_of_a_plan_leaves_out_the_gates_on_the_others():
    text = "[gates.'syscall.getpid']\nmust_pass = true\n[gates.'ipc.pipe']\nmust_pass = true\ntarget = 'again'"
    document = tomllib.loads(PLAN + text)

    def kept(**chosen):
        narrowed = plan.only(document, **{"targets": (), "benchmarks": ()} | chosen)
        return [each.key for each in plan.parse(narrowed, where="test").gates]

    assert kept() == ["syscall.getpid", "ipc.pipe"]
    assert kept(targets=("host",)) == ["syscall.getpid"]
    assert kept(benchmarks=("ipc.pipe",)) == ["ipc.pipe"]
    assert kept(benchmarks=("primitive",)) == ["syscall.getpid", "ipc.pipe"]


def test_the_plans_in_the_page_on_gates_make_sense():
    found = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "gates.md").read_text(), re.DOTALL)
    assert found
    for text in found:
        assert plan.parse(tomllib.loads(text), where="docs/gates.md").gates


@pytest.mark.parametrize("path", sorted(DEFAULT.parent.glob("*.toml")), ids=lambda path: path.stem)
def test_every_plan_that_is_shipped_makes_sense_and_is_found_by_its_name(path):
    assert plan.load(Path(path.stem)).document["targets"] == plan.load(path).document["targets"]


SANDBOX = {
    "lifecycle.provision": "max < 1.2 s",
    "lifecycle.exec_ready": "max < 1.2 s",
    "lifecycle.exec": "max < 1.2 s",
    "lifecycle.delete": "max < 1.2 s",
    "fork.fork": "max < 500 ms",
    "fork.image_size": "max < 12 MB",
    "fork.boot_provision": "max < 1200 ms",
    "fork.boot_ready": "max < 1200 ms",
    "fork.file_survived": "must pass",
    "fork.workspace_survived": "must pass",
    "lifecycle.exec_ready.latency": "median < 500 ms",
    "lifecycle.provision.latency": "median < 200 ms",
    "density.clones.marginal_memory": "max < 200 MB",
    "lifecycle.exec.latency": "median < 100 ms",
}


def test_the_gates_of_a_sandbox_are_those_that_their_makers_state():
    found = plan.load(Path("sandbox-gates"))
    told = {each.key: f"{each.statistic} {each.limit.text}" if each.limit else "must pass" for each in found.gates}
    assert told == SANDBOX
    assert {each.mode for each in found.gates} == {"gate"}
    assert (found.run.blocks, found.run.quick, list(found.targets)) == (3, False, ["linux"])


def test_the_gates_of_a_service_are_those_of_a_sandbox():
    service, sandbox = (plan.load(Path(name)) for name in ("service-gates", "sandbox-gates"))
    assert service.gates == sandbox.gates
    assert [case.question for case in service.cases] == [case.question for case in sandbox.cases]
    assert (service.run.blocks, service.targets["service"][0]) == (3, "service")


def test_a_file_that_exists_wins_over_a_shipped_plan_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("default").write_text("[targets.mine]\nkind = 'host'\n")
    assert list(plan.load(Path("default")).targets) == ["mine"]


def test_the_error_for_an_unknown_plan_names_those_that_are_shipped():
    with pytest.raises(UsageError, match=r"^defalt: expected a plan .* No such file .* need no file: .*\bdefault\b"):
        plan.load(Path("defalt"))


# ---- reports ----


def reported(*verdicts):
    return msgspec.structs.replace(a_report(), gates=verdicts)


MET, MISSED = judged(a_gate("< 12 MB"), passed(11.5e6, unit="bytes")), judged(a_gate("< 1 ns"), GOOD)


@pytest.mark.parametrize("width", [30, 60, 79, 80, 120])
def test_no_figure_and_no_limit_of_a_gate_is_cut_however_narrow_the_terminal_is(width):
    found = reported(MET, MISSED)
    for text in (terminal.gates(found, width=width), FORMATS.load("terminal")(found, width=width)):
        words = re.split(r"[\s,:]+", text.partition("gates: ")[2] or text)
        for word in ("11.50", "12", "MB", "5.000", "1", "ns", "met", "NOT", "MET"):
            assert word in words
        assert "\u2026" not in text


def test_a_figure_is_shown_in_the_unit_in_which_its_limit_was_written():
    text = FORMATS.load("markdown")(reported(MET, MISSED))
    assert "## Gates: 1 met, 1 NOT MET" in text
    assert "| b | t | max | 11.50 MB | &lt; 12 MB | +4.2% | met |  |" in text
    assert "| b | t | max | 5.000 ns | &lt; 1 ns | -400.0% | NOT MET |  |" in text


def test_a_terminal_shows_gate_figure_limit_margin_and_verdict():
    lines = FORMATS.load("terminal")(reported(MET, judged(a_gate(None, mode="review"), IMPORTED))).splitlines()
    assert "gates: 1 met, 1 review" in lines
    assert any(re.fullmatch(" *b +t +max +11.50 MB +< 12 MB +[+]4.2% +met *", line) for line in lines)
    assert any("must pass" in line and "review" in line and "unverified: stated" in line for line in lines)


def test_a_terminal_says_a_long_reason_once_for_gates_in_a_row():
    failed = judged(a_gate(), Failed(violations=("the guest crashed",)))
    text = FORMATS.load("terminal")(reported(failed, failed, MET, failed))
    assert (text.count("the guest crashed"), text.count("as above")) == (2, 1)


def test_gates_on_one_benchmark_with_several_parameters_are_told_apart():
    cases = [("t", "b", {"size": size, "samples": 3}, 1) for size in (1, 2)]
    text = FORMATS.load("markdown")(reported(*gate.judge([a_gate()], cases, [], blocks=defaultdict(lambda: 1))))
    assert "| b size=1 | t |" in text
    assert "| b size=2 | t |" in text


def test_a_report_without_gates_has_no_table_of_them():
    for form in FORMATS.names():
        assert "NOT MET" not in FORMATS.load(form)(a_report())
    assert "## Gates" not in FORMATS.load("markdown")(a_report())


def test_a_hostile_reason_of_a_gate_stays_text():
    bad = judged(a_gate(), Failed(violations=(HOSTILE,)))
    page = FORMATS.load("markdown")(reported(bad))
    assert "<script>" not in page
    assert "\n# heading" not in page
    assert "\x1b" not in FORMATS.load("terminal")(reported(judged(a_gate(), Failed(violations=("\x1b[2J",)))))


# ---- a whole run ----


def cli(*arguments, cwd):
    command = [sys.executable, "-m", "benchproof", *arguments, "--home", "home"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def run_with(folder, gates):
    suite = "[suites.s]\nbenchmarks = [{name = 'syscall.getpid', samples = 4}]\n"
    settings = "[run]\nblocks = 2\nquick = true\nlimits = {clock_step = 'any'}\n"
    (folder / "plan.toml").write_text(f"[targets.host]\n{suite}{settings}{gates}")
    return cli("run", "--plan", "plan.toml", cwd=folder)


def table(*lines, key="syscall.getpid"):
    return "\n".join([f'[gates."{key}"]', *lines, ""])


SURE = table("statistic = 'max'", "limit = '< 1 h'")
HOPELESS = ("statistic = 'min'", "limit = '<= 0 ns'")


def test_a_run_whose_gates_are_met_ends_with_status_0_and_its_report_shows_them(tmp_path):
    done = run_with(tmp_path, SURE + table(*HOPELESS, "mode = 'review'", key="syscall.getpid.latency"))
    assert done.returncode == 0, done.stderr
    assert "gates: 1 met, 1 review" in done.stdout
    told = json.loads(cli("report", "last", "--json", cwd=tmp_path).stdout)["gates"]
    assert [(each["gate"]["key"], each["verdict"], each["n"]) for each in told] == [
        ("syscall.getpid", "met", 2),
        ("syscall.getpid.latency", "review", 2),
    ]
    assert cli("verify", "last", cwd=tmp_path).returncode == 0


def test_a_gate_that_is_not_met_ends_the_run_with_status_1_once_all_is_written(tmp_path):
    done = run_with(tmp_path, SURE + table(*HOPELESS, key="syscall.getpid.latency"))
    assert done.returncode == 1, done.stderr
    assert "gates: 1 met, 1 NOT MET" in done.stdout
    assert "1/1 passed" in done.stdout
    assert cli("report", "last", cwd=tmp_path).returncode == 0
    assert cli("verify", "last", cwd=tmp_path).returncode == 0
    (page,) = (tmp_path / "home").glob("*.md")
    assert "NOT MET" in page.read_text()


def test_verify_notices_a_forged_gate(tmp_path):
    assert run_with(tmp_path, table(*HOPELESS)).returncode == 1
    (path,) = (tmp_path / "home" / "runs").iterdir()
    published = msgspec.json.decode((path / bundle.REPORT).read_bytes(), type=matrix.Report)
    forged = msgspec.structs.replace(published.gates[0], verdict="met", figure=0.0)
    (path / bundle.REPORT).write_bytes(report.encoded(msgspec.structs.replace(published, gates=(forged,))))
    reseal(path)
    assert verify(path).problems[0] == ("report.json: gate 'syscall.getpid' of 'host' does not follow from the results")


def test_gates_on_what_was_not_chosen_are_not_judged_and_that_is_said(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN + SURE + table("must_pass = true", key="ipc.pipe"))
    arguments = ("--plan", "plan.toml", "-b", "syscall.getpid", "--blocks", "1", "--quick", "--targets", "host")
    done = cli("run", *arguments, cwd=tmp_path)
    assert "gates: 1 met" in done.stdout
    assert "gates that are not judged, their target or benchmark was not chosen: ipc.pipe" in done.stderr
