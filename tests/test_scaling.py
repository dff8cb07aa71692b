"""Speed-ups within a system, what may be claimed of them, and the law that says how far they go."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof.analysis import scaling, usl, widths
from benchproof.analysis.matrix import Report
from benchproof.analysis.scaling import Cpus, Point, Series
from benchproof.model import Failed, Measurement, Passed, Result, Unsupported
from benchproof.reporters import FORMATS
from exports import report

SPLIT = "balanced contiguous splits"
PRIMES = "primes 2..3000000"
FOUR_CORES = Cpus(allowed="0,1,2,3", count=4, cores=4, pinned=True)  # and the SMT siblings 4 to 7 left alone


def recorded(*medians: float, **more) -> Series:
    """Medians of five runs at widths 1, 2, 4, ..., as a paper has them."""
    points = tuple(
        Point(width=2**number, median=median, runs=5, partition=SPLIT) for number, median in enumerate(medians)
    )
    known = {"system": "capOS", "workload": PRIMES, "metric": "scaling.primes.elapsed", "unit": "scaled cycles"}
    return Series(**(known | {"points": points, "partition": SPLIT} | more))


LOCAL = recorded(1693, 1053, 2314)
NESTED = recorded(1639, 875, 1111, cpus=FOUR_CORES)
LINUX = recorded(1_275_187_210, 659_218_025, 337_877_986, unit="ns", cpus=FOUR_CORES, comparison=True)
VECTORS = (  # requirements C009 to C011
    (LOCAL, ("1.608", "0.732"), "Passes 1-to-2 gate only"),
    (NESTED, ("1.873", "1.475"), "retained; no 4-core claim"),
    (LINUX, ("1.934", "3.774"), "Comparison run retained"),
)


@pytest.mark.parametrize(("series", "speedups", "status"), VECTORS)
def test_the_recorded_rows_come_out_to_three_decimals_with_their_status(series, speedups, status):
    found = scaling.row(series)
    assert tuple(f"{step.speedup:.3f}" for step in found.steps[1:]) == speedups
    assert (found.runs, found.status) == ("5", status)


def test_what_only_has_medians_has_no_interval():
    assert [step.interval for step in scaling.row(LINUX).steps] == [None, None, None]


def status_of(*medians: float, **more) -> str:
    return scaling.row(recorded(*medians, **more)).status


TWO_CPUS = Cpus(allowed="0,1", count=2, cores=2)
SMT = Cpus(allowed="0,1,2,3,4,5,6,7", count=8, cores=4)
STATUSES = {
    "fails the 1-to-2 gate: 1.599x, needs 1.6x": status_of(1599, 1000, cpus=FOUR_CORES),
    "retained": status_of(1600, 1000, cpus=FOUR_CORES),
    "Passes 1-to-2 gate": status_of(1600, 1000),
    "retained; smp4 functional-only oversubscription": status_of(1900, 1000, 990, cpus=TWO_CPUS),
    "retained; smp8-smt diagnostic": status_of(8000, 4100, 2100, 1600, cpus=SMT),
    "no speed-up evidence: smp2 is functional-only oversubscription: 2 vCPUs on 1 host CPUs": status_of(
        1900, 1000, cpus=Cpus(allowed="0", count=1, cores=1)
    ),
    "no speed-up evidence: smp2-smt is a diagnostic of threads that share a core: 1 physical cores": status_of(
        1900, 1000, cpus=Cpus(allowed="0,4", count=2, cores=1)
    ),
    "historical only: the split of the work changed: balanced contiguous splits, static split": scaling.row(
        recorded(1632, 1000, 623, cpus=FOUR_CORES, partition="static split")
    ).status,
}


@pytest.mark.parametrize(("expected", "found"), STATUSES.items())
def test_a_row_says_what_may_be_claimed_of_it(expected, found):
    assert found == expected


def test_a_width_that_is_slower_than_the_one_before_is_no_claim():
    four = scaling.row(NESTED).steps[2]
    assert (four.claim, four.reason) == (False, "slower than smp2")


def test_four_wide_claims_need_four_cpus_on_record():
    four = scaling.row(recorded(4000, 2000, 1000, cpus=Cpus(allowed="0-3"))).steps[2]
    assert not four.claim
    assert four.reason == "needs 4 suitable host CPUs, and neither CPU set nor cores are on record"
    assert scaling.row(recorded(4000, 2000, 1000, cpus=FOUR_CORES)).steps[2].claim


def test_eight_wide_claims_need_a_split_that_is_on_record():
    eight = Cpus(allowed="0,1,2,3,4,5,6,7", count=8, cores=8)
    series = recorded(8000, 4000, 2000, 1000, cpus=eight)
    assert scaling.row(series).status == "retained"
    unsplit = tuple(msgspec.structs.replace(point, partition="") for point in series.points)
    assert scaling.row(msgspec.structs.replace(series, points=unsplit)).status == "retained; no 8-core claim"


def test_another_answer_at_another_width_fails_the_row_whatever_its_speed():
    points = tuple(
        Point(width=width, median=1000 / width, answers=(answer,)) for width, answer in ((1, "216816"), (2, "216815"))
    )
    found = scaling.row(msgspec.structs.replace(LINUX, points=points))
    assert found.status == "failed: the answer is not the same at every width: 216816 at smp1, 216815 at smp2"


def test_a_width_that_failed_fails_the_row():
    points = (*LINUX.points[:2], Point(width=4, median=None, status="failed"))
    assert scaling.row(msgspec.structs.replace(LINUX, points=points)).status == "failed: smp4"


@pytest.mark.parametrize("metric", ["scaling.primes.cpu_time", "scaling.primes.user", "x.rusage", "x.sys.time"])
def test_cpu_time_is_refused(metric):
    with pytest.raises(ValueError, match="expected wall time, found CPU time"):
        scaling.row(msgspec.structs.replace(LINUX, metric=metric))


def test_instructions_are_refused():
    with pytest.raises(ValueError, match="expected wall time"):
        scaling.row(msgspec.structs.replace(LINUX, clock="instructions"))


def test_there_is_no_speedup_without_width_one():
    with pytest.raises(ValueError, match=r"expected width 1 among the widths, found \[2, 4\]"):
        scaling.row(msgspec.structs.replace(LINUX, points=LINUX.points[1:]))


def measured(width: int, factor: float, blocks, seed: int = 1) -> Point:
    chance = random.Random(seed * 1000 + width)
    drift = {block: 1 + block / 10 for block in blocks}  # the machine gets slower: pairs do not mind
    times = {block: 1e6 * factor * drift[block] * chance.lognormvariate(0, 0.005) for block in blocks}
    return Point(width=width, median=sorted(times.values())[len(times) // 2], times=times)


def test_invocations_of_one_block_are_pairs_and_others_are_not():
    points = (measured(1, 1, range(10)), measured(2, 0.52, range(2, 12)))
    two = scaling.row(msgspec.structs.replace(LINUX, points=points)).steps[1]
    assert two.interval.n == 8
    assert two.interval.low < 1 / 0.52 < two.interval.high
    assert two.interval.high / two.interval.low < 1.02  # though the times of each width vary by a factor of two
    assert two.efficiency == two.speedup / 2


@given(st.lists(st.floats(min_value=1, max_value=1e12), min_size=1, max_size=6))
def test_the_unit_of_time_changes_no_speedup(medians):
    one, other = (scaling.row(recorded(*(each * factor for each in medians))) for factor in (1, 1024))
    assert [step.speedup for step in one.steps] == [step.speedup for step in other.steps]
    assert one.status == other.status


# Published with the R package `usl` (S. Moeding, 3.0.0: data sets and README): scripts an hour of a SPARCcenter 2000
# under SPEC SDM91 by users, and the throughput of a ray tracer by processors, both from Gunther 2007.
SPEC_SDM91 = {1: 64.9, 18: 995.9, 36: 1652.4, 72: 1853.2, 108: 1828.9, 144: 1775.0, 216: 1702.2}
RAY_TRACER = dict(
    zip((1, 4, 8, 12, 16, 20, 24, 28, 32, 48, 64), (20, 78, 130, 170, 190, 200, 210, 230, 260, 280, 310), strict=True)
)
PUBLISHED = ((SPEC_SDM91, 0.0277285, 0.0001044, 89.9952330), (RAY_TRACER, 0.057771, 0.0, 21.848843))


@pytest.mark.parametrize(("throughput", "sigma", "kappa", "gamma"), PUBLISHED)
def test_published_coefficients_come_out(throughput, sigma, kappa, gamma):
    found = usl.law({width: 1 / value for width, value in throughput.items()}, errors="throughput")
    assert found.sigma == pytest.approx(sigma, abs=5e-7)
    assert found.kappa == pytest.approx(kappa, abs=5e-8)
    assert 1 / found.one == pytest.approx(gamma, abs=5e-6)


def test_the_published_peak_comes_out():
    found = usl.law({width: 1 / value for width, value in SPEC_SDM91.items()}, errors="throughput")
    assert found.peak == pytest.approx(96.5, abs=0.05)
    assert usl.law({width: 1 / value for width, value in RAY_TRACER.items()}, errors="throughput").peak is None


def exact_times(sigma: float, kappa: float, sizes=(1, 2, 4, 8)) -> dict[int, float]:
    return {n: 1e6 * (1 + sigma * (n - 1) + kappa * n * (n - 1)) / n for n in sizes}


@given(
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=0.1),
    st.sampled_from(["relative", "throughput"]),
)
def test_a_law_without_noise_is_found_again(sigma, kappa, errors):
    found = usl.law(exact_times(sigma, kappa), errors=errors)
    assert found.sigma == pytest.approx(sigma, abs=1e-9)
    assert found.kappa == pytest.approx(kappa, abs=1e-9)
    assert found.speedup(4) == pytest.approx(1e6 / exact_times(sigma, kappa)[4])


@given(st.lists(st.floats(min_value=0.5, max_value=2), min_size=5, max_size=5))
def test_no_other_law_is_nearer_to_the_times_and_none_is_negative(noise):
    times = {
        n: time * factor
        for (n, time), factor in zip(exact_times(0.1, 0.01, (1, 2, 3, 4, 8)).items(), noise, strict=True)
    }

    def squares(one, sigma, kappa):
        law = usl.Law(sigma=sigma, kappa=kappa, one=one, widths=(), peak=None)
        return sum((one / law.speedup(n) / time - 1) ** 2 for n, time in times.items())

    found = usl.law(times)
    least = squares(found.one, found.sigma, found.kappa)
    assert min(found.sigma, found.kappa) >= 0
    for step in (0.99, 1.01):
        assert squares(found.one * step, found.sigma, found.kappa) >= least
        for more in (0.001, -0.001):
            if found.sigma + more >= 0:
                assert squares(found.one * step, found.sigma + more, found.kappa) >= least - 1e-12
            if found.kappa + more >= 0:
                assert squares(found.one * step, found.sigma, found.kappa + more) >= least - 1e-12


def test_three_widths_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="no law: 3 widths, needs 4"):
        usl.law(exact_times(0.1, 0.01, (1, 2, 4)))
    assert scaling.row(LINUX).no_law.startswith("no law: 3 widths, needs 4")


@pytest.mark.parametrize(("sigma", "kappa"), [(0.05, 0.002), (0.02, 0.0)])
def test_the_intervals_of_the_law_hold_the_truth_as_often_as_they_say(sigma, kappa):
    """The estimate of a share from 400 runs has a standard error of 1.1 %."""
    chance, truth, held = random.Random(3), exact_times(sigma, kappa), [0, 0]
    for _ in range(400):
        blocks = [{n: time * chance.lognormvariate(0, 0.02) for n, time in truth.items()} for _ in range(8)]
        found = usl.with_intervals(usl.law(truth), blocks)
        for number, (interval, true) in enumerate(((found.sigma_interval, sigma), (found.kappa_interval, kappa))):
            held[number] += interval.low <= true <= interval.high
    assert all(0.92 <= each / 400 <= 1 for each in held)


def test_a_law_of_few_blocks_has_no_interval_and_says_why():
    found = usl.with_intervals(usl.law(exact_times(0.1, 0.01)), [exact_times(0.1, 0.01)] * 5)
    assert (found.sigma_interval, found.absent) == (
        None,
        "no interval: 5 blocks have every width and a law of their own, needs 6",
    )


def time_of(quantity: str, sample: float) -> Measurement:
    return Measurement(
        metric=f"scaling.primes.{quantity}", unit="ns", better="lower", clock="target", iterations=1, samples=(sample,)
    )


def result(target: str, width: int, block: int, **more) -> Result:
    """Of a benchmark with a width, as a run records it."""
    elapsed = time_of("elapsed", 1e9 / width * (1 + block / 100))
    known = {
        "run_id": "r",
        "target": target,
        "benchmark": "scaling.primes",
        "parameters": {"width": width, "limit": 3_000_000},
        "tier": 3,
        "block": block,
        "started_at": "2026-11-20T00:00:00Z",
        "duration_ns": 1,
        "envelope": "",
        "attempt": 1,
        "outcome": Passed((elapsed,)),
        "evidence": {"answer": "216816", "partition": SPLIT},
    }
    return Result(**(known | more))


def cases_of(results) -> list:
    return [(each.target, each.benchmark, each.parameters, each.tier) for each in results]


HOST = {"cpus": "8", "cpus_allowed": "0,1,2,3", "cpu_siblings": "0,4 1,5 2,6 3,7"}


def run_of(targets=("host",), sizes=(1, 2, 4, 8), blocks=6) -> list[Result]:
    return [result(target, width, block) for target in targets for width in sizes for block in range(blocks)]


def system_of(target="host", host=None, **more) -> widths.System:
    return widths.System(name=target, targets={0: target}, cpus=widths.cpus(host or HOST, {}), **more)


def test_rows_of_a_benchmark_with_a_width_become_a_line_for_each_system():
    results = run_of(("host", "other"))
    found = widths.rows(cases_of(results), results, [system_of(), system_of("other", comparison=True)])
    assert [(row.system, row.workload) for row in found] == [("host", "scaling.primes"), ("other", "scaling.primes")]
    assert [row.status.partition(";")[0] for row in found] == ["retained", "Comparison run retained"]
    assert found[0].status == "retained; smp8 functional-only oversubscription"
    assert [step.speedup for step in found[0].steps] == pytest.approx([1, 2, 4, 8])
    assert found[0].steps[1].interval.n == 6
    assert found[0].law.sigma == pytest.approx(0, abs=1e-9)
    assert found[0].cpu_set == "CPU set 0,1,2,3 (4 physical cores), pinned, not isolated"


def test_a_cpu_set_with_siblings_of_one_core_has_fewer_cores_than_cpus():
    found = widths.cpus(HOST | {"cpus_allowed": "0,4,1", "cpus_isolated": "0-1,4"}, {})
    assert (found.count, found.cores, found.pinned, found.isolated) == (3, 2, True, True)


def test_a_summary_says_by_what_its_cpus_are_isolated():
    isolated = HOST | {"cpus_isolated": "0-3", "cpus_without_tick": "0-3", "cpus_without_rcu": "0-3"}
    assert scaling.cpu_set(widths.cpus(isolated, {})).endswith(
        "pinned, isolated (isolcpus 0-3, nohz_full 0-3, rcu_nocbs 0-3)"
    )
    partition = widths.cpus(HOST | {"cpuset_partition": "isolated"}, {})
    assert scaling.cpu_set(partition).endswith("isolated (an isolated cpuset)")
    for told in ({"cpuset_partition": "root"}, {"cpus_isolated": "0-2"}, {"cpus_without_tick": "0-3"}):
        assert scaling.cpu_set(widths.cpus(HOST | told, {})).endswith("not isolated")


def test_a_target_with_cpus_of_its_own_is_pinned_even_to_all_of_them():
    two = {"cpus": "2", "cpus_allowed": "0,1", "cpu_siblings": "0 1"}
    assert widths.cpus(two, {"cpu_set": "0,1"}).pinned
    assert not widths.cpus(two, {}).pinned


def test_a_guest_on_a_virtual_host_is_nested():
    facts = {"host": HOST | {"hypervisor": "yes"}}
    for execution, words in (("kvm", "nested: a guest on a host that is itself virtual"), ("native", "the host is")):
        (system,) = widths.systems({"x": ("x", {})}, {"x": facts | {"machine": {"execution": execution}}}, [])
        (row,) = widths.rows(cases_of(run_of(("x",))), run_of(("x",)), [system])
        assert row.notes[-1].startswith(words)
        assert row.notes[-1].endswith("no proof for hardware")


def test_a_guest_uses_no_more_cpus_than_it_has():
    assert widths.cpus(HOST, {}, 2).count == 2
    assert widths.cpus(HOST, {"cpu_set": "0,1,2"}, 0).count == 3


def test_an_answer_that_differs_fails_the_line():
    results = run_of(sizes=(1, 2))
    results[-1] = msgspec.structs.replace(results[-1], evidence={"answer": "1"})
    (row,) = widths.rows(cases_of(results), results, [system_of()])
    assert row.status.startswith("failed: the answer is not the same at every width")


def test_a_split_that_changed_in_the_run_makes_the_line_historical():
    results = run_of(sizes=(1, 2))
    results[-1] = msgspec.structs.replace(results[-1], evidence={"answer": "216816", "partition": "static split"})
    (row,) = widths.rows(cases_of(results), results, [system_of()])
    assert row.status.startswith("historical only")


def test_a_width_that_failed_shows_and_has_no_figure():
    results = run_of(sizes=(1, 2, 4))
    results[-1] = msgspec.structs.replace(results[-1], outcome=Failed(("216815 primes",)))
    (row,) = widths.rows(cases_of(results), results, [system_of()])
    assert (row.status, row.steps[2].median, row.steps[2].speedup) == ("failed: smp4", None, None)


def test_a_benchmark_whose_only_time_is_cpu_time_gets_no_speedup():
    time = time_of("cpu_time", 1e9)
    results = [msgspec.structs.replace(each, outcome=Passed((time,))) for each in run_of(sizes=(1, 2))]
    (row,) = widths.rows(cases_of(results), results, [system_of()])
    assert row.status == "no claim: scaling.primes.cpu_time: expected wall time, found CPU time"
    assert not [step for step in row.steps if step.speedup]


def test_targets_that_differ_in_vcpus_alone_are_one_system():
    class Guest(msgspec.Struct):
        kernel: str
        vcpus: int

    targets = {f"smp{n}": ("qemu", Guest("linux", n)) for n in (1, 2, 4)} | {"new": ("qemu", Guest("new", 2))}
    envelopes = {name: {"host": HOST | {"hypervisor": "yes"}, "machine": {}} for name in targets}
    systems = widths.systems(targets, envelopes, ["smp1"])
    assert [each.name for each in systems] == [*targets, "smp1, smp2, smp4"]
    results = run_of(("smp1", "smp2", "smp4"), (1, 2, 4))
    found = {row.system: row for row in widths.rows(cases_of(results), results, systems)}
    whole = found["smp1, smp2, smp4"]
    assert [step.speedup for step in whole.steps] == pytest.approx([1, 2, 4])
    assert whole.status == "Comparison run retained"
    assert "the host is itself virtual: no proof for hardware" in whole.notes
    assert found["smp2"].status == "retained; smp4 functional-only oversubscription"


def test_targets_of_one_matrix_go_by_its_name_and_none_of_them_stands_there_with_one_width():
    targets = {f"linux/vcpus={n}": ("qemu", {"kernel": "linux", "vcpus": n}) for n in (1, 2, 4)}
    systems = widths.systems(targets, {}, [])
    assert systems[-1].name == "linux"
    results = run_of(tuple(targets), (1, 2, 4))
    wide = [each for each in results if each.parameters["width"] > int(each.target[-1])]
    results = [
        msgspec.structs.replace(each, outcome=Unsupported("2 workers on 1 CPUs")) if each in wide else each
        for each in results
    ]
    found = widths.rows(cases_of(results), results, systems)
    assert [(row.system, row.targets) for row in found] == [
        ("linux/vcpus=2", ("linux/vcpus=2",)),
        ("linux/vcpus=4", ("linux/vcpus=4",)),
        ("linux", tuple(targets)),
    ]
    assert {row.benchmark for row in found} == {"scaling.primes"}


def test_a_guest_with_more_vcpus_may_be_pinned_to_more_cpus():
    targets = {f"smp{n}": ("qemu", {"vcpus": n, "cpus": cpus}) for n, cpus in ((1, "0"), (2, "0,1"))}
    envelopes = {
        name: {"host": HOST, "machine": {"cpu_set": settings["cpus"]}} for name, (_, settings) in targets.items()
    }
    whole = widths.systems(targets, envelopes, [])[-1]
    assert (whole.name, whole.cpus.count, whole.cpus.allowed, whole.cpus.pinned) == ("smp1, smp2", 2, "0,1", True)


def test_a_width_that_nothing_could_do_has_no_column():
    results = run_of(sizes=(1, 2, 4, 8))
    results = [
        msgspec.structs.replace(each, outcome=Unsupported("8 workers on 4 CPUs"))
        if each.parameters["width"] == 8
        else each
        for each in results
    ]
    found = widths.rows(cases_of(results), results, [system_of()])
    text = FORMATS.load("markdown")(msgspec.structs.replace(report(), scaling=found))
    assert "smp4 median" in text
    assert "smp8 median" not in text
    assert "smp8: unsupported" in text


def test_other_benchmarks_make_no_table():
    results = [msgspec.structs.replace(each, benchmark="syscall.getpid", parameters={}) for each in run_of()]
    targets = dict.fromkeys((1, 2), "host")
    assert widths.rows(cases_of(results), results, [system_of(), widths.System(name="x", targets=targets)]) == ()


def a_table() -> Report:
    rows = tuple(scaling.row(series) for series, _, _ in VECTORS)
    measured = widths.rows(cases_of(run_of()), run_of(), [system_of()])
    return msgspec.structs.replace(report(), scaling=(*rows, *measured))


def test_the_table_in_markdown_has_the_columns_and_cells_of_the_requirement():
    lines = FORMATS.load("markdown")(a_table()).splitlines()
    head = next(line for line in lines if line.startswith("| System"))
    assert head == (
        "| System | Workload | Runs | smp1 median | smp2 median | smp4 median | smp8 median "
        "| 1-to-2 speedup | 1-to-4 speedup | 1-to-8 speedup | Status |"
    )
    local, nested, linux = (line for line in lines if PRIMES in line and line.startswith("| capOS"))
    figures = "1,693 scaled cycles | 1,053 scaled cycles | 2,314 scaled cycles |  | 1.608x | 0.732x |  "
    assert local == f"| capOS | {PRIMES} | 5 | {figures}| Passes 1-to-2 gate only |"
    assert nested.endswith("| 1.873x | 1.475x |  | retained; no 4-core claim |")
    assert "| 1.275 s | 659.2 ms | 337.9 ms |" in linux
    assert "1.934x | 3.774x" in linux


def test_what_the_table_has_no_room_for_stands_beneath_it():
    for form in ("markdown", "terminal"):
        text = " ".join(FORMATS.load(form)(a_table()).replace("\\", "").split())
        assert "host, scaling.primes: CPU set 0,1,2,3 (4 physical cores), pinned, not isolated" in text
        assert "Universal Scalability Law: sigma" in text
        assert f"capOS, {PRIMES}: no law: 3 widths, needs 4" in text
        assert "smp4: slower than smp2" in text
        assert "never divided by each other" in text


def test_the_terminal_shows_the_table():
    text = FORMATS.load("terminal")(a_table(), width=250)
    assert re.search(r"capOS +primes .* 1\.608x +0\.732x +Passes 1-to-2 gate only", text)


def test_the_table_as_csv_has_a_line_for_each_width_and_nothing_rounded():
    lines = list(csv.DictReader(io.StringIO(FORMATS.load("scaling-csv")(a_table()))))
    assert len(lines) == 3 * 3 + 4
    four = lines[8]
    assert (four["system"], four["width"], four["unit"], four["claim"]) == ("capOS", "4", "ns", "yes")
    assert float(four["speedup"]) == 1_275_187_210 / 337_877_986
    assert float(four["efficiency"]) == float(four["speedup"]) / 4
    assert float(lines[10]["speedup_low"]) <= 2 <= float(lines[10]["speedup_high"])
    assert (lines[5]["claim"], lines[5]["reason"]) == ("no", "slower than smp2")


def test_a_run_without_widths_has_no_table():
    assert "Scaling" not in FORMATS.load("markdown")(report())
    assert len(FORMATS.load("scaling-csv")(report()).splitlines()) == 1


def test_the_json_of_a_table_is_the_table():
    assert msgspec.json.decode(FORMATS.load("json")(a_table()), type=Report) == a_table()


PLUG_IN = '''
from typing import ClassVar
from benchproof.model import Definition, Frozen, Measurement, Observation

class Sum(Frozen, frozen=True):
    """The same sum by one, two or four commands, one after the other: it does not scale."""
    definition: ClassVar[Definition] = Definition(
        name="scaling.sum", tier=3, question="?", mechanism="-", without_posix="-", oracle="the sum")
    width: int = 1

    def run(self, target):
        with target.start() as instance:
            parts = [instance.run(["seq", str(n + 1), str(self.width), "100"], timeout_s=20) for n in range(self.width)]
        total = sum(int(each) for part in parts for each in part.stdout.split())
        time = Measurement(metric="scaling.sum.elapsed", unit="ns", better="lower", clock="host", iterations=1,
                           samples=(float(sum(part.elapsed_ns for part in parts)),))
        return Observation((time,), {"answer": str(total), "partition": "every n-th"})

    def verify(self, observation):
        if observation.evidence["answer"] != "5050":
            yield f"expected 5050, found {observation.evidence['answer']}"

    def quick(self):
        return self
'''


def test_a_run_of_a_benchmark_with_a_width_reports_and_verifies_its_table(tmp_path):
    """From a plug-in, through plan, run, bundle, report and verify."""
    folder = tmp_path / "plug"
    (folder / "plug-1.dist-info").mkdir(parents=True)
    (folder / "plug.py").write_text(PLUG_IN)
    (folder / "plug-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (folder / "plug-1.dist-info" / "entry_points.txt").write_text("[benchproof.benchmarks]\nscaling.sum = plug:Sum\n")
    sizes = ", ".join(f'{{ name = "scaling.sum", width = {n} }}' for n in (1, 2, 4))
    text = f"[targets.host]\n[suites.s]\nbenchmarks = [{sizes}]\n[run]\nblocks = 6\n"
    (tmp_path / "plan.toml").write_text(text)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}

    def benchproof(*words: str) -> str:
        command = [sys.executable, "-m", "benchproof", *words, "--home", str(tmp_path / "home")]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    benchproof("run", "--plan", "plan.toml")
    found = msgspec.json.decode(benchproof("report", "--json"), type=Report)
    (row,) = found.scaling
    assert (row.system, row.workload, row.runs) == ("host", "scaling.sum", "6")
    assert [step.width for step in row.steps] == [1, 2, 4]
    assert row.steps[2].interval.n == 6
    assert row.status.startswith(("fails the 1-to-2 gate", "no speed-up evidence"))
    assert "## Scaling" in benchproof("report", "--format", "markdown")
    benchproof("verify")


@pytest.mark.parametrize("settings", [object(), {"vcpus": "4"}, {"vcpus": 0}, {}])
def test_a_target_without_vcpus_of_its_own_stands_alone(settings):
    found = widths.systems({"a": ("x", settings), "b": ("x", settings)}, {}, [])
    assert [each.targets for each in found] == [{0: "a"}, {0: "b"}]
