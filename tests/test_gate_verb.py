"""May a run that is there already ship? By a policy, held against limits, bands, a reference or another run."""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
import statistics
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof import gating, importing, plan, policy, report
from benchproof.analysis import bands, stats
from benchproof.analysis.bands import BEYOND, Band
from benchproof.analysis.calibrate import Calibrated, Floor
from benchproof.analysis.compare import Comparison, exactly, incomparable
from benchproof.analysis.gate import GateVerdict, Pair, judge
from benchproof.analysis.limit import Limit
from benchproof.analysis.stats import Interval
from benchproof.cli import benchproof
from benchproof.document import policies
from benchproof.errors import BenchproofError, UsageError
from benchproof.model import Envelope, Failed, Invalid, Measurement, Passed, Result, Unsupported, Unverified
from benchproof.reporters import FORMATS
from benchproof.store import bundle
from benchproof.store.bundle import Bundle
from test_gates import CASE, GOOD, a_gate, passed, result

ROOT = Path(__file__).parent.parent
LATENCY, THROUGHPUT = "syscall.getpid", "ipc.pipe"
KINDS = {  # benchmark -> metric, unit, better
    LATENCY: ("syscall.getpid.latency", "ns", "lower"),
    THROUGHPUT: ("ipc.pipe.throughput", "bytes/s", "higher"),
    "syscall.stat": ("syscall.stat.latency", "ns", "lower"),
    "lifecycle.provision": ("lifecycle.provision.latency", "ns", "lower"),
}
FACTS = {"machine": {"execution": "native"}, "system": {"kind": "host", "kernel": "1"}}


def noisy(centre=100.0, *, n=12, seed=1, cv=0.004):
    chance = random.Random(f"{seed}/{centre}")
    return [centre * math.exp(chance.gauss(0, cv)) for _ in range(n)]


def outcome(benchmark, value, **changes):
    """A figure as what was measured, or what became of it instead."""
    if not isinstance(value, float | tuple):
        return value
    metric, unit, better = KINDS[benchmark]
    known = {"metric": metric, "unit": unit, "better": better, "clock": "target", "iterations": 1} | changes
    samples = value if isinstance(value, tuple) else (value,)
    return Passed(measurements=(Measurement(**known, samples=samples),))


def a_run(home, run_id, *, complete=True, facts=None, gates=None, labels=None, floors=None, **targets):
    """A run on disk: each of `targets` is benchmark -> a value a block; `facts` by target, where they differ.

    `floors`: (target, benchmark, floor, floor_apart) as `calibrate` would have found them.
    """
    benchmarks = list(dict.fromkeys(name for values in targets.values() for name in values))
    blocks = max(len(values) for each in targets.values() for values in each.values())
    document = {
        "targets": {target: {"kind": "host"} for target in targets},
        "suites": {"s": {"benchmarks": benchmarks}},
        "run": {"blocks": blocks if complete else blocks + 1, "seed": 1},
    } | ({"gates": gates} if gates else {})
    wanted = plan.parse(document, where="test")
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof="0",
        created_at="2026-11-20T00:00:00+00:00",
        state="running",
        plan=wanted.document,
        seed=1,
        definitions=[],
        files={},
        labels=labels or {},
        calibration=Calibrated(floors=tuple(a_floor(wanted, *each) for each in floors or ())),
    )
    envelopes = {target: Envelope(sections=(facts or {}).get(target, FACTS)) for target in targets}
    path = home / "runs" / run_id
    with contextlib.closing(Bundle.create(path, manifest, envelopes, {})) as out:
        keys = bundle.load(path).target_envelopes
        for case in wanted.cases:
            for block, value in enumerate(targets[case.target].get(case.name, ())):
                out.append(
                    Result(
                        run_id=run_id,
                        target=case.target,
                        benchmark=case.name,
                        parameters=case.parameters,
                        tier=1,
                        block=block,
                        started_at="2026-11-20T00:00:00Z",
                        duration_ns=1,
                        envelope=keys[case.target],
                        attempt=1,
                        outcome=outcome(case.name, value),
                    )
                )
        if complete:
            run = bundle.load(path)
            whole = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, state="complete"))
            out.seal(report.encoded(report.build(whole)))
    return path


def a_floor(wanted, target, benchmark, floor, apart):
    (parameters,) = {str(case.parameters): case.parameters for case in wanted.cases if case.name == benchmark}.values()
    known = {"target": target, "benchmark": benchmark, "parameters": parameters, "metric": KINDS[benchmark][0]}
    return Floor(**known, blocks=12, floor=floor, floor_apart=apart, run_id="study", measured_at="")


def system(**changes):
    """The facts of a target whose system differs in those."""
    return FACTS | {"system": FACTS["system"] | changes}


def table(key, **lines):
    """One table of a policy."""
    shown = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    return f'[gates."{key}"]\n{shown}\n'


@pytest.fixture
def gate(tmp_path):
    """`benchproof gate` on runs below a folder: exit status, document, and the error."""

    def go(*arguments, text=None, run="last"):
        words = ["gate", run, "--home", str(tmp_path), "--json"]
        if text is not None:
            (tmp_path / "policy.toml").write_text(text)
            words += ["--policy", str(tmp_path / "policy.toml")]
        done = CliRunner().invoke(benchproof, [*words, *arguments], standalone_mode=False)
        if isinstance(done.exception, BenchproofError):
            return done.exception.exit_status, {}, str(done.exception)
        assert done.exception is None, done.exception
        return done.return_value, json.loads(done.stdout), ""

    return go


def verdicts(document):
    return [(each["gate"]["key"], each["target"], each["verdict"]) for each in document["gates"]]


# ---- a run against a policy ----


def test_a_policy_is_held_against_a_run_that_is_there_and_the_run_stays_as_it_was(gate, tmp_path):
    path = a_run(tmp_path, "one", t={LATENCY: noisy()})
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    status, found, _ = gate(text=table(LATENCY, statistic="median", limit="< 200 ns"))
    assert (status, verdicts(found)) == (0, [(LATENCY, "t", "met")])
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("lines", "status", "verdict"),
    [
        ({"statistic": "max", "limit": "< 200 ns"}, 0, "met"),
        ({"statistic": "max", "limit": "< 50 ns"}, 1, "not met"),
        ({"statistic": "p99", "limit": "< 200 ns"}, 3, "undecided"),
        ({"statistic": "max", "limit": "< 200 ns", "least": 13}, 3, "undecided"),
        ({"statistic": "max", "limit": "< 50 ns", "mode": "review"}, 0, "review"),
        ({"statistic": "p99", "limit": "< 50 ns", "mode": "review"}, 0, "review"),
        ({"statistic": "max", "limit": "< 50 ns", "mode": "off"}, 0, "off"),
        ({"must_pass": True}, 0, "met"),
    ],
)
def test_the_exit_status_is_0_for_met_1_for_not_met_3_for_no_answer(gate, tmp_path, lines, status, verdict):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    ended, found, _ = gate(text=table(LATENCY, **lines))
    assert (ended, verdicts(found)) == (status, [(LATENCY, "t", verdict)])
    assert found["exit_status"] == status


def test_one_gate_that_is_not_met_weighs_more_than_one_that_is_undecided(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy(), THROUGHPUT: noisy()})
    lines = table(LATENCY, statistic="p99", limit="< 1 s") + table(THROUGHPUT, statistic="min", limit="> 1 GB/s")
    status, found, _ = gate(text=lines)
    assert status == 1
    assert [each["verdict"] for each in found["gates"]] == ["undecided", "not met"]


def test_without_a_policy_the_gates_of_the_plan_are_judged_and_without_those_there_is_no_question(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()}, gates={LATENCY: {"statistic": "max", "limit": "< 1 ns"}})
    assert gate()[0] == 1
    a_run(tmp_path, "two", t={LATENCY: noisy()})
    status, _, error = gate()
    assert status == 2
    assert error.startswith("run two: its plan states no gates; name a policy with --policy FILE")


def test_a_run_that_was_ended_early_gives_no_answer(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()}, complete=False)
    status, found, _ = gate(text=table(LATENCY, statistic="max", limit="< 1 s"))
    assert (status, found["gates"][0]["verdict"]) == (3, "undecided")
    assert found["gates"][0]["reason"] == "missing: 12 of 13 invocations are on record"
    assert "the run was ended before its last block" in found["warnings"][0]


@pytest.mark.parametrize(
    ("bad", "status"),
    [(Failed(violations=("wrong",)), 1), (Unsupported(reason="no call"), 1), (Invalid(reason="noise"), 3)],
)
def test_what_is_no_verified_answer_is_never_met(gate, tmp_path, bad, status):
    a_run(tmp_path, "one", t={LATENCY: [bad] * 6})
    assert gate(text=table(LATENCY, statistic="max", limit="< 1 s"))[0] == status


# ---- a ratio to the reference, in the same run ----


def test_a_ratio_is_decided_by_its_interval_and_never_by_its_estimate(gate, tmp_path):
    a_run(
        tmp_path,
        "one",
        facts={"same": system(kernel="2"), "slow": system(kernel="3"), "near": system(kernel="4")},
        base={LATENCY: noisy(seed=1)},
        same={LATENCY: noisy(seed=2)},
        slow={LATENCY: noisy(110.0, seed=3)},
        near={LATENCY: noisy(105.0, seed=4, cv=0.01)},
    )
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05", baseline="reference"))
    by_target = {each["target"]: each for each in found["gates"]}
    assert status == 1
    assert {name: each["verdict"] for name, each in by_target.items()} == {
        "same": "met",
        "slow": "not met",
        "near": "undecided",
    }
    assert "base" not in by_target
    assert re.search(
        r"the interval \[1\.0\d+, 1\.0\d+\] holds the limit; (about|more than) \d+ pairs would decide",
        by_target["near"]["reason"],
    )
    assert by_target["slow"]["interval"]["low"] > 1.05 > by_target["same"]["interval"]["high"]


def test_five_pairs_are_insufficient_evidence_for_a_ratio(gate, tmp_path):
    a_run(tmp_path, "one", facts={"b": system(kernel="2")}, a={LATENCY: noisy(n=5)}, b={LATENCY: noisy(200.0, n=5)})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05"))
    assert status == 3
    assert found["gates"][0]["reason"].startswith("insufficient evidence: 5 pairs")


def test_a_ratio_gate_may_ask_for_more_pairs_than_an_interval_needs(gate, tmp_path):
    a_run(tmp_path, "one", facts={"b": system(kernel="2")}, a={LATENCY: noisy()}, b={LATENCY: noisy()})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05", least=20))
    assert (status, found["gates"][0]["reason"]) == (3, "insufficient evidence: 12 pairs, the gate asks for 20")


def test_the_same_system_under_two_names_is_noise_calibration_and_never_a_regression(gate, tmp_path):
    a_run(tmp_path, "one", a={LATENCY: noisy()}, b={LATENCY: noisy(200.0)})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05"))
    (verdict,) = found["gates"]
    assert (status, verdict["verdict"]) == (3, "undecided")
    assert verdict["reason"].startswith("noise calibration: both sides are one artifact by every hash")


def test_targets_that_differ_in_what_was_not_declared_have_no_ratio_and_the_facts_are_named(gate, tmp_path):
    other = FACTS | {"machine": {"execution": "native", "cpus": "2"}}
    a_run(tmp_path, "one", facts={"b": other}, a={LATENCY: noisy()}, b={LATENCY: noisy()})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05"))
    assert status == 3
    assert found["gates"][0]["reason"] == (
        "incomparable with 'a': it differs in what was not declared to: machine.cpus: absent against 2"
    )


def test_a_reference_without_a_figure_gives_no_ratio(gate, tmp_path):
    a_run(
        tmp_path,
        "one",
        facts={"b": system(kernel="2")},
        a={LATENCY: [Failed(violations=("wrong",))] * 12},
        b={LATENCY: noisy()},
    )
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05"))
    assert (status, found["gates"][0]["verdict"]) == (3, "undecided")
    assert "'a' has no figure (failed): wrong" in found["gates"][0]["reason"]


def a_pair(comparison, **more):
    return lambda _gate, _target, _asked, _metric: Pair(base="'ref'", comparison=comparison, **more)


def related(comparison, limit="< 1.05", measured=GOOD, **more):
    """The verdict of a ratio gate on a comparison that is given."""
    asked = a_gate(limit, statistic="ratio", baseline="reference")
    blocks = {(("b", "{}"), "t"): 1}
    (found,) = judge([asked], [CASE], [result(0, measured)], blocks=blocks, ratios=a_pair(comparison, **more))
    return found


def compared(low, estimate, high, **more):
    known = {"verdict": "slower", "ratio": Interval(estimate=estimate, low=low, high=high, confidence=0.95, n=20)}
    return Comparison(**known | more)


@pytest.mark.parametrize(
    ("interval", "limit", "verdict"),
    [
        ((1.01, 1.02, 1.04), "< 1.05", "met"),
        ((1.01, 1.02, 1.05), "< 1.05", "undecided"),
        ((1.01, 1.02, 1.05), "<= 1.05", "met"),
        ((1.05, 1.06, 1.07), "< 1.05", "not met"),
        ((1.05, 1.06, 1.07), "<= 1.05", "undecided"),
        ((0.5, 0.6, 0.7), "< 0.8", "met"),
        ((0.85, 0.9, 0.95), "< 0.8", "not met"),
    ],
)
def test_the_ends_of_the_interval_are_held_against_the_limit_exactly_as_it_was_written(interval, limit, verdict):
    assert related(compared(*interval), limit).verdict == verdict


def test_a_count_is_decided_exactly_and_without_statistics():
    assert related(exactly(100.0, 104.0, "lower")).verdict == "met"
    assert related(exactly(100.0, 105.0, "lower")).verdict == "not met"
    assert related(exactly(0.0, 0.0, "lower")).figure == 1
    assert related(exactly(0.0, 5.0, "lower")).reason == "no ratio to 'ref': not every figure is above nothing"


def test_a_gate_that_is_sharper_than_the_noise_becomes_a_review_and_says_so():
    found = related(compared(1.06, 1.07, 1.08, floor=0.06))
    assert (found.verdict, found.reason) == ("review", "review: the A/A floor of 6.00% is wider than the limit")
    assert related(compared(1.06, 1.07, 1.08, floor=0.04)).verdict == "not met"
    within = related(compared(1.0, 1.01, 1.02, floor=0.06))
    assert (within.verdict, "A/A floor" in within.reason) == ("met", True)


def test_a_limit_on_the_wrong_side_for_the_metric_is_told_with_the_right_one():
    faster = passed(5.0, unit="op/s")
    higher = msgspec.structs.replace(faster.measurements[0], better="higher")
    found = related(compared(0.6, 0.7, 0.8), "< 1.05", Passed(measurements=(higher,)))
    assert found.verdict == "not met"
    assert found.reason == (
        "wrong direction: higher is better in this metric, so expected a ratio such as '> 0.95', found '< 1.05'"
    )


def test_what_cannot_be_compared_is_undecided():
    found = related(incomparable("units differ"))
    assert (found.verdict, found.reason) == ("undecided", "incomparable with 'ref': units differ")


def test_about_as_many_pairs_as_it_says_would_decide():
    """In most repetitions, with fresh noise of the same spread."""
    chance = random.Random(7)

    def interval(n):
        shifts = [math.log(1.03) + chance.gauss(0, 0.05) for _ in range(n)]
        return stats.exponential(stats.hodges_lehmann(shifts))

    counts = []
    for _ in range(40):
        found = related(Comparison(verdict="undecided", ratio=interval(12)), "< 1.06")
        if found.verdict == "undecided":
            told = re.search(r"about (\d+) pairs", found.reason)
            counts.append(int(told[1]) if told else 1000)
    told = int(stats.median(counts))
    decided = sum(
        related(Comparison(verdict="same", ratio=interval(told)), "< 1.06").verdict == "met" for _ in range(60)
    )
    assert decided >= 30


# ---- a ratio to another run ----


def two_runs(home, factor, *, benchmark=THROUGHPUT, facts=None, base_labels=None, **more):
    a_run(home, "one", labels=base_labels, t={benchmark: noisy()})
    a_run(home, "two", facts={"t": facts or system(kernel="2")}, t={benchmark: noisy(100 * factor, seed=2)}, **more)


@pytest.mark.parametrize(
    ("factor", "verdict", "status"),
    [(1.3, "met", 0), (0.7, "not met", 1), (0.85, "undecided", 3)],
)
def test_thirty_per_cent_more_throughput_is_good_and_thirty_per_cent_less_a_regression(
    gate, tmp_path, factor, verdict, status
):
    two_runs(tmp_path, factor)
    lines = table(THROUGHPUT, statistic="ratio", limit="> 0.85", baseline="run:one")
    ended, found, _ = gate(text=lines)
    assert (ended, verdicts(found)) == (status, [(THROUGHPUT, "t", verdict)])
    assert found["baselines"] == {"run:one": "one"}


def test_thirty_per_cent_more_latency_is_a_regression_and_less_is_none(gate, tmp_path):
    two_runs(tmp_path, 1.3, benchmark=LATENCY)
    lines = table(LATENCY, statistic="ratio", limit="< 1.15")
    assert gate("--baseline", "run:one", text=lines)[0] == 1
    two_runs(tmp_path / "less", 0.7, benchmark=LATENCY)
    assert gate("--baseline", "run:one", "--home", str(tmp_path / "less"), text=lines)[0] == 0


def test_a_limit_on_the_wrong_side_is_refused_before_anything_is_judged(gate, tmp_path):
    two_runs(tmp_path, 0.7)
    status, _, error = gate(text=table(THROUGHPUT, statistic="ratio", limit="< 1.05", baseline="run:one"))
    assert status == 2
    assert "of throughput higher is better in this metric, so expected a ratio such as '> 0.95'" in error


@pytest.mark.parametrize(("factor", "ended"), [(0.93, (3, "undecided")), (1.1, (0, "met")), (0.8, (1, "not met"))])
def test_what_may_be_the_drift_between_two_times_decides_nothing_and_what_cannot_be_does(gate, tmp_path, factor, ended):
    two_runs(tmp_path, factor)
    status, found, _ = gate(text=table(THROUGHPUT, statistic="ratio", limit="> 0.95", baseline="run:one"))
    assert (status, found["gates"][0]["verdict"]) == ended
    if status == 3:
        assert "made at different times, and a drift of 10% is assumed until" in found["gates"][0]["reason"]
    assert any("the two runs were made at different times" in warning for warning in found["warnings"])


@pytest.mark.parametrize(("apart", "verdict", "status"), [(0.03, "not met", 1), (0.08, "review", 0)])
def test_a_measured_floor_of_runs_made_apart_takes_the_place_of_the_assumed_one(gate, tmp_path, apart, verdict, status):
    two_runs(tmp_path, 0.9, floors=[("t", THROUGHPUT, 0.01, apart)])
    ended, found, _ = gate(text=table(THROUGHPUT, statistic="ratio", limit="> 0.95", baseline="run:one"))
    assert (ended, found["gates"][0]["verdict"]) == (status, verdict)
    if verdict == "review":
        assert "8.00% of runs made at different times (as measured by calibrate)" in found["gates"][0]["reason"]


@pytest.mark.parametrize(("floor", "verdict"), [(0.02, "not met"), (0.06, "review")])
def test_a_measured_floor_within_a_run_turns_a_sharper_gate_into_a_review(gate, tmp_path, floor, verdict):
    a_run(
        tmp_path,
        "one",
        facts={"b": system(kernel="2")},
        floors=[("a", LATENCY, floor, None)],
        a={LATENCY: noisy()},
        b={LATENCY: noisy(120.0)},
    )
    _, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.05"))
    assert found["gates"][0]["verdict"] == verdict


def test_units_that_differ_between_two_runs_are_refused(gate, tmp_path, monkeypatch):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    monkeypatch.setitem(KINDS, LATENCY, ("syscall.getpid.latency", "cycles", "lower"))
    a_run(tmp_path, "two", facts={"t": system(kernel="2")}, t={LATENCY: noisy()})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.5", baseline="run:one"))
    assert (status, found["gates"][0]["verdict"]) == (3, "undecided")
    assert "units or directions differ: ns, lower against cycles, lower" in found["gates"][0]["reason"]


def test_runs_that_differ_in_what_the_plan_does_not_vary_are_not_compared(gate, tmp_path):
    two_runs(tmp_path, 1.0, facts=FACTS | {"machine": {"execution": "native", "cpu": "other"}})
    lines = table(THROUGHPUT, statistic="ratio", limit="> 0.8", baseline="run:one")
    status, found, _ = gate(text=lines)
    assert status == 3
    assert "what was not declared to vary differs: machine.cpu: absent against other" in found["gates"][0]["reason"]
    assert gate(text="vary = ['machine']\n" + lines)[0] == 0


def test_one_artifact_in_two_runs_is_noise_calibration(gate, tmp_path):
    facts = {"t": system(kernel_sha256="abc")}
    a_run(tmp_path, "one", facts=facts, t={LATENCY: noisy()})
    a_run(tmp_path, "two", facts=facts, t={LATENCY: noisy(200.0)})
    status, found, _ = gate(text=table(LATENCY, statistic="ratio", limit="< 1.5", baseline="run:one"))
    assert status == 3
    assert "noise calibration" in found["gates"][0]["reason"]


def test_the_hash_of_a_wrapper_is_not_that_of_what_it_starts(gate, tmp_path):
    facts = {"t": system(kind="command", program_sha256="abc")}
    a_run(tmp_path, "one", facts=facts, t={LATENCY: noisy()})
    a_run(tmp_path, "two", facts=facts, t={LATENCY: noisy(200.0)})
    assert gate(text=table(LATENCY, statistic="ratio", limit="< 1.5", baseline="run:one"))[0] == 1


@pytest.mark.parametrize("spec", ["branch:main", "commit:1a2b", "tag:v1", "last", "run:o", "one", "{home}/runs/one"])
def test_a_baseline_is_named_by_what_it_measured_or_by_its_run(gate, tmp_path, spec):
    labels = {"branch": "main", "commit": "1a2b3c", "tag": "v1"}
    two_runs(tmp_path, 0.7, base_labels=labels, labels={"branch": "topic"})
    name = spec.format(home=tmp_path)
    status, found, _ = gate("--baseline", name, run="two", text=table(THROUGHPUT, statistic="ratio", limit="> 0.85"))
    assert (status, found["baselines"]) == (1, {name: "one"})


def test_a_baseline_that_is_not_there_is_refused_with_those_that_are(gate, tmp_path):
    two_runs(tmp_path, 1.0, base_labels={"branch": "main"})
    lines = table(THROUGHPUT, must_pass=True)
    for spec, words in (
        ("branch:mian", "no run is a baseline 'branch:mian'; known, the newest first: main"),
        ("tag:v1", "no run has a label 'tag'"),
        ("brunch:main", "did you mean 'branch:'"),
        ("nowhere", "no run is called 'nowhere'"),
    ):
        status, _, error = gate("--baseline", spec, text=lines)
        assert (status, words in error) == (2, True), error


# ---- what is not there any more ----


def test_a_gated_metric_that_the_baseline_had_and_the_run_has_not_is_not_met(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy(), THROUGHPUT: noisy(), "syscall.stat": noisy()})
    a_run(tmp_path, "two", t={LATENCY: noisy()})
    lines = 'baseline = "run:one"\n' + table(LATENCY, statistic="max", limit="< 1 s")
    status, found, _ = gate(text=lines + table(THROUGHPUT, statistic="median", limit="> 1 B/s"))
    assert (status, verdicts(found)) == (1, [(LATENCY, "t", "met"), (THROUGHPUT, "t", "not met")])
    assert found["gates"][1]["reason"] == "disappeared: run one has it"
    assert found["lost"] == ["syscall.stat.latency of t"]
    assert "lost since the baseline, and no gate asks for it: syscall.stat.latency of t" in found["warnings"]
    status, found, _ = gate(text=lines)
    assert (status, len(found["lost"])) == (0, 2)


def test_a_target_that_the_baseline_had_does_not_take_its_gates_with_it(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()}, u={LATENCY: noisy()})
    a_run(tmp_path, "two", t={LATENCY: noisy()})
    status, found, _ = gate("--baseline", "run:one", text=table(LATENCY, statistic="max", limit="< 1 s"))
    assert (status, verdicts(found)) == (1, [(LATENCY, "t", "met"), (LATENCY, "u", "not met")])


def test_a_metric_that_the_policy_names_and_the_run_has_not_is_not_met_without_any_baseline(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    status, found, _ = gate(text=table("ipc.pipe.throughput", statistic="median", limit="> 1 GB/s"))
    assert (status, verdicts(found)) == (1, [("ipc.pipe.throughput", "any", "not met")])
    assert found["gates"][0]["reason"] == "disappeared: the run has no such benchmark; known: syscall.getpid"
    assert gate(text=table("ipc.pipe", must_pass=True, mode="review"))[0] == 0


# ---- imported results ----

FOREIGN = Unverified(source="hyperfine 1.19", measurements=outcome(LATENCY, 100.0).measurements)


def test_what_was_imported_is_refused_unless_the_policy_trusts_its_tool(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: [FOREIGN] * 6})
    lines = table(LATENCY, statistic="max", limit="< 1 s")
    status, found, _ = gate(text=lines)
    assert status == 1
    assert "unverified: stated by hyperfine 1.19, not verified" in found["gates"][0]["reason"]
    assert gate(text='trust = ["pyperf"]\n' + lines)[0] == 1
    status, found, _ = gate(text='trust = ["hyperfine"]\n' + lines)
    assert (status, found["gates"][0]["verdict"]) == (0, "met")
    assert "judged as the policy trusts it, though not verified: what hyperfine 1.19 reported" in found["warnings"]


def test_an_imported_run_is_judged_where_its_tool_is_trusted_and_is_still_shown_as_not_verified(gate, tmp_path):
    importing.take(ROOT / "tests" / "data" / "kevlar" / "linux-on-hvf-baseline.txt", tmp_path)
    assert gate()[2].endswith("shows those that need no file)")
    lines = table("kevlar.getpid", statistic="median", limit="< 1 us")
    status, found, _ = gate(text=lines)
    assert (status, verdicts(found)) == (1, [("kevlar.getpid", "Linux-on-HVF", "not met")])
    assert gate(text='trust = "kevlar"\n' + lines)[0] == 0
    assert gate(text='trust = "kevlar"\n' + table("kevlar.getpid", statistic="p95", limit="< 1 us"))[0] == 3
    assert "did you mean 'kevlar.getpid'" in gate(text=table("kevlar.getpdi", must_pass=True))[2]
    stated = msgspec.structs.replace(
        policy.load(tmp_path / "policy.toml"), trust=("kevlar",), gates={"kevlar.getpid": {"must_pass": True}}
    )
    (run,) = (bundle.load(path) for path in (tmp_path / "runs").iterdir())
    shown = gating.judged(run, stated, baseline=None, find=lambda _: run).report
    assert [each.verdict for each in shown.gates] == ["met"]
    assert {cell.status for row in shown.rows for cell in row.cells.values()} == {"unverified"}


def test_parameters_in_another_order_are_the_same_question_and_have_not_disappeared(gate, tmp_path):
    """Two files of hyperfine, each with its parameters in the order in which somebody typed them."""
    times = [each / 1000 for each in noisy()]
    known = {"command": "true", "times": times, "exit_codes": [0] * 12, "mean": statistics.fmean(times), "user": 0.0}
    known |= {"median": statistics.median(times), "stddev": statistics.stdev(times), "system": 0.0}
    known |= {"min": min(times), "max": max(times)}
    runs = []
    for number, parameters in enumerate(({"a": "1", "b": "2"}, {"b": "2", "a": "1"})):
        (tmp_path / f"{number}.json").write_text(json.dumps({"results": [known | {"parameters": parameters}]}))
        runs.append(importing.take(tmp_path / f"{number}.json", tmp_path, form="hyperfine").runs[0].run_id)
    (benchmark,) = {row.benchmark for row in report.build(bundle.load(tmp_path / "runs" / runs[0])).rows}
    lines = 'trust = "hyperfine"\n' + table(benchmark, must_pass=True)
    status, found, error = gate("--baseline", f"run:{runs[0]}", text=lines, run=runs[1])
    assert (status, [each["reason"] for each in found["gates"]], error) == (0, [""], "")


def test_a_baseline_is_never_an_imported_run_unless_it_is_trusted(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: [FOREIGN] * 12})
    a_run(tmp_path, "two", facts={"t": system(kernel="2")}, t={LATENCY: noisy()})
    lines = table(LATENCY, statistic="ratio", limit="< 1.2", baseline="run:one")
    status, found, _ = gate(text=lines)
    assert (status, found["gates"][0]["verdict"]) == (3, "undecided")
    assert "unverified in base" in found["gates"][0]["reason"]
    assert gate(text='trust = "hyperfine"\n' + lines)[0] == 0


# ---- bands ----

SPAWN = tuple(
    Band(name=name, median=Limit.parse(f"< {median} ms"), p95=Limit.parse(f"< {p95} ms"))
    for name, median, p95 in (("Excellent", 100, 110), ("Good", 150, 180), ("Acceptable", 200, 220))
)
TABLES = {  # requirements E053 to E064: key -> scale, limits of (median, p95) from Excellent to Acceptable
    "lifecycle.provision.latency": (1e6, ((100, 110), (150, 180), (200, 220))),
    "density.clones.marginal_memory": (1e6, ((150, 170), (200, 220), (250, 280))),
    "lifecycle.exec.latency": (1e6, ((50, 70), (100, 120), (150, 180))),
}
NAMES = ("Excellent", "Good", "Acceptable", BEYOND)


@pytest.mark.parametrize(
    ("median", "p95", "band"),
    [
        (99.9, 109.9, "Excellent"),
        (100, 109, "Good"),
        (99, 110, "Good"),
        (149.9, 179.9, "Good"),
        (99, 180, "Acceptable"),
        (150, 100, "Acceptable"),
        (199.9, 219.9, "Acceptable"),
        (200, 100, BEYOND),
        (99, 220, BEYOND),
    ],
)
def test_the_worse_of_median_and_p95_decides_and_an_edge_belongs_to_the_worse_band(median, p95, band):
    assert bands.place(SPAWN, {"median": median * 1e6, "p95": p95 * 1e6}).name == band


@given(st.floats(0, 400e6), st.floats(0, 400e6))
def test_a_band_is_never_better_than_either_figure_alone(median, p95):
    placed = bands.place(SPAWN, {"median": median, "p95": p95})
    assert placed.rank == max(NAMES.index(each) for each in placed.each.values())
    assert bands.place(SPAWN, {"median": median, "p95": p95 * 1.1}).rank >= placed.rank


def shipped_bands():
    stated = policy.load(Path("agent-bands"))
    known = {name: {} for name in ("lifecycle.provision", "density.clones", "lifecycle.exec")}
    return {each.key: each for each in policy.gates_of(stated.gates, targets=["t"], known=known, where="test")}


@pytest.mark.parametrize("key", TABLES)
def test_the_bands_that_are_shipped_are_those_of_the_guide(key):
    scale, limits = TABLES[key]
    asked = shipped_bands()[key]
    assert [(each.name, each.median.bound, each.p95.bound) for each in asked.bands] == [
        (name, median * scale, p95 * scale) for name, (median, p95) in zip(NAMES, limits, strict=False)
    ]
    assert asked.require == "Acceptable"
    for rank, (median, p95) in enumerate(limits):  # just below an edge and on it
        assert bands.place(asked.bands, {"median": median * scale - 1, "p95": p95 * scale - 1}).name == NAMES[rank]
        assert bands.place(asked.bands, {"median": median * scale, "p95": 0.0}).name == NAMES[rank + 1]
        assert bands.place(asked.bands, {"median": 0.0, "p95": p95 * scale}).name == NAMES[rank + 1]


def spawned(*millis):
    return [tuple(each * 1e6 for each in millis)] * 6


ONLY_SPAWN = policies()["agent-bands"].read_text().partition('[gates."density')[0]


@pytest.mark.parametrize(
    ("millis", "band", "status"),
    [((90, 95, 99, 100), "Excellent", 0), ((90, 95, 99, 150), "Good", 0), ((90, 95, 99, 220), BEYOND, 1)],
)
def test_a_run_is_given_its_band(gate, tmp_path, millis, band, status):
    a_run(tmp_path, "one", t={"lifecycle.provision": spawned(*millis)})
    ended, found, _ = gate(text=ONLY_SPAWN)
    (verdict,) = found["gates"]
    assert (ended, verdict["band"], verdict["figures"]["p95"]) == (status, band, millis[-1] * 1e6)
    assert ("the worse decides: median Excellent" in verdict["reason"]) == (band != "Excellent")


def test_no_band_is_given_from_the_median_alone(gate, tmp_path):
    a_run(tmp_path, "one", t={"lifecycle.provision": spawned(90, 91)})
    status, found, _ = gate(text=ONLY_SPAWN)
    assert (status, found["gates"][0]["band"], found["gates"][0]["figure"]) == (3, "", None)
    assert found["gates"][0]["reason"] == (
        "too few samples: p95 needs 20, found 12: no band is given from the median alone"
    )


# ---- wrong questions ----

SOUND = {"Best": {"median": "< 1 us", "p95": "< 2 us"}, "Fair": {"median": "< 3 us", "p95": "< 4 us"}}


def with_bands(require="Fair", **changed):
    """A gate with bands as TOML, some of them changed."""
    lines = [f'[gates."{LATENCY}"]', f'require = "{require}"', f'[gates."{LATENCY}".bands]']
    for name, limits in (SOUND | changed).items():
        inner = ", ".join(f"{key} = {json.dumps(value)}" for key, value in limits.items())
        lines.append(f"{json.dumps(name)} = {{ {inner} }}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "gates: expected at least one table"),
        ("gtes = 1", "unknown key 'gtes'; did you mean 'gates'"),
        ('baseline = 3\n[gates."ipc.pipe"]\nmust_pass = true', "baseline: Expected `str | null`, got `int`"),
        ('vary = "systm"\n[gates."ipc.pipe"]\nmust_pass = true', "did you mean 'system'"),
        (table("syscall.getpdi", must_pass=True), "expected a benchmark of this run or one of its metrics"),
        (table("syscall.getpdi", must_pass=True), "did you mean 'syscall.getpid'"),
        (table(LATENCY, must_pass=True, target="hosd"), "unknown target 'hosd'; known: t"),
        (table(LATENCY, statistic="ratoi", limit="< 1.05"), "did you mean 'ratio'"),
        (table(LATENCY, statistic="max", limit="< 12 MB"), "expected a unit of latency"),
        (table(LATENCY, statistic="max", limit="< -1 s"), "expected a comparison"),
        (table(LATENCY, statistic="max", limit="< nan s"), "expected a comparison"),
        (table(LATENCY, statistic="max", limit=f"< {'9' * 400} s"), "expected an amount that is finite"),
        (table(LATENCY, statistic="max", limit="< 1 s", least=0), "least: expected 1 to 100000, found 0"),
        (table(LATENCY, statistic="max", limit="< 1 s", least=True), "least: Expected `int`"),
        (table(LATENCY, statistic="max", limit="< 1 s", baseline="x"), 'expected statistic = "ratio" beside it'),
        (table(LATENCY, statistic="max", limit="< 1 s", require="Good"), "require: expected bands"),
        (table(LATENCY, statistic="ratio", limit="< 0"), "expected a ratio such as '< 1.05'"),
        (table(LATENCY, statistic="ratio", limit="< 5 %"), "expected a ratio such as '< 1.05'"),
        (table(LATENCY, statistic="ratio", limit="< 1.05 ns"), "expected a ratio such as '< 1.05'"),
        (table(LATENCY, statistic="ratio", limit="> 0.95"), "lower is better in this metric"),
        (table(LATENCY, statistic="ratio", limit="< 1.05"), "'t' has no other reference than itself in this run"),
        (table(LATENCY, statistic="ratio"), "limit: expected one such as"),
        (table(LATENCY, statistic="ratio", limit="< 1.05", baseline="run:none"), "no run is called 'none'"),
        (table(LATENCY, statistic="ratio", limit="< 1.05", baseline="run:one"), "baseline 'run:one' is the run itself"),
        (table(LATENCY, bands={}), "bands: Expected `object | null`, got"),
        (with_bands("Good"), "require: expected the worst band that is good enough (Best, Fair), found 'Good'"),
        (with_bands(Fair={"median": "< 3 us"}), "bands.Fair: p95: expected a limit, as in"),
        (with_bands(Fair={"median": "< 3 us", "p59": "< 4 us"}), "unknown key 'p59'; did you mean 'p95'"),
        (with_bands(Fair={"median": "< 0.5 us", "p95": "< 4 us"}), "bands.Fair: median: expected a wider limit than"),
        (with_bands(Fair={"median": "> 3 us", "p95": "< 4 us"}), "bands.Fair: median: expected a limit like"),
        (with_bands(Fair={"median": "< 3 MB", "p95": "< 4 us"}), "bands.Fair: median: expected a limit like"),
        (with_bands(Best={"median": "< 0 us", "p95": "< 2 us"}), "expected a limit above nothing"),
        (with_bands(**{BEYOND: {"median": "< 9 us", "p95": "< 9 us"}}), "this is what holds no limit of any band"),
        (with_bands().replace("us", "MB"), "bands.Best: median: expected a unit of latency"),
        (with_bands().replace("require", 'statistic = "max"\nrequire'), "expected either bands or a statistic"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_in_one_line(gate, tmp_path, text, words):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    status, _, error = gate(text=text.replace("bands = {}", "bands = []"))
    assert status == 2
    assert words in error
    assert "\n" not in error
    assert error.startswith(("policy.toml: ", "baseline ", "no run "))


def test_an_incomplete_run_is_no_baseline(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()}, complete=False)
    a_run(tmp_path, "two", t={LATENCY: noisy()})
    status, _, error = gate("--baseline", "run:one", text=table(LATENCY, must_pass=True))
    assert status == 2
    assert error.startswith("baseline 'run:one' was ended before its last block; go on with")


@pytest.mark.parametrize("name", ["nowhere.toml", "agent-band"])
def test_a_policy_that_is_not_there_is_refused_with_those_that_need_no_file(gate, tmp_path, name):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    status, _, error = gate("--policy", name)
    assert status == 2
    assert re.search(r"expected a policy .* the policies that need no file: agent-bands", error)


def test_a_plan_does_not_hold_itself_against_another_run():
    document = {
        "targets": {"a": {"kind": "host"}, "b": {"kind": "host"}},
        "suites": {"s": {"benchmarks": [LATENCY]}},
        "gates": {LATENCY: {"statistic": "ratio", "limit": "< 1.05", "baseline": "branch:main"}},
    }
    with pytest.raises(UsageError, match=r"expected 'reference' in a plan, found 'branch:main'; state .* in a policy"):
        plan.parse(document, where="plan.toml")
    document["gates"][LATENCY] |= {"baseline": "reference", "target": "a"}
    with pytest.raises(UsageError, match="'a' is its own reference"):
        plan.parse(document, where="plan.toml")
    document["gates"][LATENCY] |= {"target": "b"}
    assert plan.parse(document, where="plan.toml").gates[0].baseline == "reference"


def test_a_policy_may_include_another(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    (tmp_path / "common.toml").write_text(table(LATENCY, statistic="max", limit="< 1 ns"))
    assert gate(text='include = ["common.toml"]\n')[0] == 1
    assert gate(text='include = ["common.toml"]\n' + table(LATENCY, limit="< 1 s"))[0] == 0


@pytest.mark.parametrize("name", sorted(policies()))
def test_every_policy_that_is_shipped_says_what_it_is_for(name):
    assert policies()[name].read_text().startswith("# ")
    assert policy.load(Path(name)).gates


def test_the_policies_in_the_page_on_gates_make_sense(gate, tmp_path):
    a_run(tmp_path, "one", t={name: noisy() for name in KINDS})
    found = re.findall(r"```toml policy\n(.*?)```", (ROOT / "docs" / "gates.md").read_text(), re.DOTALL)
    assert found
    for text in found:
        (tmp_path / "policy.toml").write_text(text)
        stated = policy.load(tmp_path / "policy.toml")
        known = {name: {metric: about} for name, (metric, *about) in KINDS.items()}
        assert list(policy.gates_of(stated.gates, targets=["t", "host"], known=known, where="docs/gates.md"))


WORDS = st.one_of(
    st.sampled_from(
        ["ratio", "median", "p95", "< 1 us", "< 1.05", "> 0.95", "< 0", "reference", "run:x", "Good", "t", "x\0"]
    ),
    st.none(),
    st.booleans(),
    st.integers(-1, 10**6),
    st.floats(),
    st.lists(st.integers(), max_size=2),
)
BANDS = st.dictionaries(
    st.sampled_from(["Good", "Fair", BEYOND]), st.dictionaries(st.sampled_from(["median", "p95", "p59"]), WORDS)
)
TABLE_KEYS = ("statistic", "limit", "mode", "target", "must_pass", "baseline", "require", "least", "title", "priority")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([LATENCY, "ipc.pipe.throughput", "ipc.pip", "ipc.pipe.\0"]),
        st.one_of(
            WORDS, st.fixed_dictionaries({}, optional={"bands": BANDS} | dict.fromkeys((*TABLE_KEYS, "more"), WORDS))
        ),
    )
)
def test_whatever_a_policy_holds_it_states_gates_or_is_a_usage_error(tables):
    known = {name: {metric: about} for name, (metric, *about) in KINDS.items()}
    try:
        found = list(policy.gates_of(tables, targets=["t"], known=known, where="test"))
    except UsageError as error:
        assert str(error).startswith("test: gates.")
    else:
        assert [each.key for each in found] == list(tables)
        assert all(each.bands or each.limit or tables[each.key]["must_pass"] for each in found)


# ---- how it is shown ----


def test_the_terminal_shows_a_table_and_a_line_for_each_gate_that_is_not_simply_met(tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    lines = table("syscall.getpid.latency", statistic="max", limit="< 1 ns") + table(LATENCY, must_pass=True)
    (tmp_path / "policy.toml").write_text(lines)
    words = ["gate", "--home", str(tmp_path), "--policy", str(tmp_path / "policy.toml")]
    done = CliRunner().invoke(benchproof, words, standalone_mode=False)
    assert done.return_value == 1
    shown = done.stdout.splitlines()
    assert any(
        re.match(r" syscall\.getpid\.latency +t +max +10\d\.\d ns +< 1 ns +-\S+% +NOT MET", line) for line in shown
    )
    assert any(line.startswith("NOT MET: syscall.getpid.latency of t: max 10") for line in shown)
    assert shown[-1] == "run one: 1 met, 1 NOT MET"


def test_the_verdicts_are_in_every_report(tmp_path, gate):
    a_run(tmp_path, "one", facts={"u": system(kernel="2")}, t={LATENCY: noisy()}, u={LATENCY: noisy(200.0)})
    (tmp_path / "policy.toml").write_text(
        table(LATENCY, statistic="ratio", limit="< 1.05")
        + table("syscall.getpid.latency", statistic="max", limit="< 1 s")
        + table(THROUGHPUT, must_pass=True)
    )
    run = bundle.load(tmp_path / "runs" / "one")
    found = gating.judged(run, policy.load(tmp_path / "policy.toml"), baseline=None, find=lambda _: run)
    for form in ("terminal", "markdown", "csv", "json", "junit", "github"):
        text = FORMATS.load(form)(found.report)
        assert "disappeared: the run has" in " ".join(text.split()), form
        assert "2.0" in text, form
    assert f"{LATENCY}: not met; syscall.getpid.latency: met" in FORMATS.load("csv")(found.report)
    assert gating.status(found.report.gates) == 1


MIXED = (
    table(LATENCY, statistic="max", limit="< 1 ns")
    + table("syscall.getpid.latency", statistic="p99", limit="< 1 s")
    + table(THROUGHPUT, statistic="min", limit="> 1 GB/s", mode="review")
    + table("ipc.pipe.throughput", statistic="min", limit="> 1 B/s")
)


def test_junit_has_a_case_for_each_gate_and_the_file_is_written_whatever_the_verdict(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy(), THROUGHPUT: noisy()})
    assert gate("--junit", str(tmp_path / "gates.xml"), text=MIXED)[0] == 1
    suite = ET.parse(tmp_path / "gates.xml").getroot()  # noqa: S314 - our own
    suite = suite.find("testsuite[@name='gates']")
    found = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert found == {
        "syscall.getpid on t": ["failure"],
        "syscall.getpid.latency on t": ["error"],
        "ipc.pipe on t": ["skipped"],
        "ipc.pipe.throughput on t": [],
    }


def test_a_junit_file_that_cannot_be_written_is_one_line(gate, tmp_path):
    a_run(tmp_path, "one", t={LATENCY: noisy()})
    status, _, error = gate("--junit", str(tmp_path / "no" / "gates.xml"), text=table(LATENCY, must_pass=True))
    assert status == 1
    assert re.fullmatch(r"cannot write '.*gates\.xml': No such file or directory; name another .* --junit", error)


@pytest.mark.parametrize("as_json", [False, True])
def test_annotations_of_a_workflow_do_not_disturb_a_document(tmp_path, as_json):
    a_run(tmp_path, "one", t={LATENCY: noisy(), THROUGHPUT: noisy()})
    (tmp_path / "policy.toml").write_text(MIXED)
    words = ["gate", "--home", str(tmp_path), "--policy", str(tmp_path / "policy.toml"), "--github"]
    done = CliRunner().invoke(benchproof, [*words, *["--json"] * as_json], standalone_mode=False)
    said = done.stderr if as_json else done.stdout
    assert done.return_value == 1
    assert [line.partition(" title=")[0] for line in said.splitlines() if line.startswith("::")] == [
        "::error",
        "::error",
        "::warning",
        "::notice",
    ]
    assert json.loads(done.stdout)["exit_status"] == 1 if as_json else "run one: " in done.stdout


def test_the_report_that_is_sealed_does_not_know_the_policy(tmp_path, gate):
    path = a_run(tmp_path, "one", t={LATENCY: noisy()})
    assert gate(text=table(LATENCY, statistic="max", limit="< 1 ns"))[0] == 1
    assert report.build(bundle.load(path)).gates == ()


def test_verdicts_are_read_back_as_they_were_written():
    found = related(compared(1.01, 1.02, 1.04))
    assert msgspec.json.decode(msgspec.json.encode(found), type=GateVerdict) == found
