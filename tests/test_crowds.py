"""What becomes of a target as more agents use it at once: the curve, its verdict, and how a report shows it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import benchproof
from benchproof import plan
from benchproof.analysis import degradation
from benchproof.analysis.degradation import Point
from benchproof.model import Failed, Measurement, Passed, Result, Unsupported
from benchproof.report import Report
from benchproof.reporters import crowds, markdown, terminal

CASES = [("linux", "scale.agents", {"agents": agents, "rounds": 2}, 2) for agents in (1, 5, 10)]


def measured(name: str, value: float) -> Measurement:
    return Measurement(
        metric=f"scale.agents.{name}", unit="ns", better="lower", clock="host", iterations=1, samples=(value,)
    )


def result(agents: int, outcome, *, right: int, due: int, block: int = 0) -> Result:
    return Result(
        run_id="run",
        target="linux",
        benchmark="scale.agents",
        parameters={"agents": agents, "rounds": 2},
        tier=2,
        block=block,
        started_at="2026-01-01T00:00:00.000Z",
        duration_ns=1,
        envelope="",
        attempt=1,
        outcome=outcome,
        evidence={"operations_right": str(right), "operations_due": str(due)},
    )


def fine(agents: int, *, latency_ns: float, memory_bytes: float = 1.0, block: int = 0) -> Result:
    figures = (measured("latency", latency_ns), measured("memory", memory_bytes))
    return result(agents, Passed(measurements=figures), right=8 * agents, due=8 * agents, block=block)


def curve(*results: Result, cpus: int | None = 2) -> degradation.Curve:
    (found,) = degradation.curves(CASES, results, {"linux": cpus})
    return found


def test_latency_that_grows_as_agents_per_cpu_is_graceful():
    found = curve(fine(1, latency_ns=10e6), fine(5, latency_ns=25e6), fine(10, latency_ns=50e6))
    assert (found.verdict, found.first_failure) == ("graceful", None)
    assert [(point.agents, point.right, point.due) for point in found.points] == [(1, 8, 8), (5, 40, 40), (10, 80, 80)]


def test_latency_that_grows_faster_degrades_and_it_is_said_from_where_on():
    found = curve(fine(1, latency_ns=10e6), fine(5, latency_ns=38e6), fine(10, latency_ns=50e6))
    assert found.verdict == "degrades"
    assert found.reason.startswith("with 5 agents, latency is 38.0 ms, more than 37.5 ms")


def test_the_fewest_agents_with_a_failure_are_named():
    failed = result(10, Failed(violations=("no",)), right=70, due=80)
    found = curve(fine(1, latency_ns=1e6), fine(5, latency_ns=1e6), failed)
    assert (found.verdict, found.first_failure) == ("fails", 10)
    assert found.reason == "from 10 agents on, operations fail: 70 of 80 were right"
    assert found.points[2].success is not None
    assert found.points[2].success.low < 70 / 80 < found.points[2].success.high


def test_where_an_oracle_objects_there_is_no_figure_though_each_operation_was_right():
    objected = result(10, Failed(violations=("a process is left",)), right=80, due=80, block=1)
    found = curve(fine(1, latency_ns=1e6), fine(5, latency_ns=1e6), fine(10, latency_ns=1e6), objected)
    assert (found.verdict, found.reason) == (
        "fails",
        "with 10 agents an oracle objected, though each operation was right",
    )
    assert (found.points[2].status, found.points[2].latency_ns, found.points[2].memory_bytes) == ("failed", None, None)


def test_operations_of_all_invocations_count():
    found = curve(*(fine(1, latency_ns=1e6, block=block) for block in range(3)))
    assert (found.points[0].n, found.points[0].due) == (3, 24)


def test_without_a_figure_or_without_the_cpus_there_is_no_verdict():
    nothing = result(10, Unsupported(reason="no"), right=0, due=0)
    assert curve(fine(1, latency_ns=1e6), fine(5, latency_ns=1e6), nothing).reason == (
        "no figure with 10 agents: unsupported"
    )
    everything = [fine(agents, latency_ns=1e6) for agents in (1, 5, 10)]
    assert curve(*everything, cpus=None).verdict == "undecided"


def test_one_more_agent_costs_the_slope_of_the_memory():
    sizes = {1: 20 << 20, 5: 60 << 20, 10: 110 << 20}
    found = curve(*(fine(agents, latency_ns=1e6, memory_bytes=size) for agents, size in sizes.items()))
    assert found.marginal_bytes == 10 << 20


def test_one_number_of_agents_is_no_curve_and_neither_is_another_benchmark():
    assert degradation.curves(CASES[:1], [], {}) == ()
    assert degradation.curves([("linux", "fork.fanout", {"agents": n}, 2) for n in (1, 2)], [], {}) == ()


@pytest.mark.parametrize("counts", [{}, {"operations_right": "-1"}, {"operations_right": "9", "operations_due": "8"}])
def test_counts_that_cannot_be_have_no_interval(counts):
    broken = msgspec.structs.replace(fine(1, latency_ns=1e6), evidence=counts)
    assert curve(broken, fine(5, latency_ns=1e6)).points[0].success is None


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Report:
    """The report of a run on this host, with a curve of known points in place of what it has."""
    home = tmp_path_factory.mktemp("home")
    words = ["run", "--targets", "host", "-b", "syscall.getpid", "--blocks", "1", "--home", str(home)]
    subprocess.run([sys.executable, "-m", "benchproof", *words], check=True, capture_output=True)
    (path,) = home.glob("runs/*/report.json")
    points = (
        Point(agents=1, status="passed", n=1, latency_ns=10e6, ready_ns=1e9, throughput=90, right=8, due=8),
        Point(agents=5, status="failed", n=1, right=30, due=40, success=degradation.binomial.interval(30, 40)),
    )
    verdict, reason = degradation.judged(points, 2)
    found = degradation.Curve(target="linux", workload="", cpus=2, points=points, verdict=verdict, reason=reason)
    return msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=Report), crowds=(found,))


@pytest.mark.parametrize("render", [terminal.render, markdown.render])
def test_a_report_shows_the_curve_its_intervals_and_its_verdict(shown, render):
    text = re.sub(r"\s+", " ", render(shown).replace("\\", ""))
    assert "30 of 40 [58.804%, 87.309%]" in text
    assert "linux: fails: from 5 agents on, operations fail: 30 of 40 were right" in text
    assert re.sub(r"\s+", " ", crowds.LEGEND) in text
    assert "10.00 ms" in text


@pytest.mark.parametrize("name", ["agent-scale", "agent-chaos"])
def test_the_plans_of_agents_make_sense(name):
    found = plan.load(Path(benchproof.__file__).parent / "plans" / f"{name}.toml")
    assert {case.name.partition(".")[0] for case in found.cases} <= {"scale", "soak", "chaos"}
