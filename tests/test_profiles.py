"""What each profile of a matrix costs: every pair of them, in data, in the reports and from a run."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from benchproof.analysis import profiles
from benchproof.analysis.compare import Comparison, Side, incomparable, judge
from benchproof.analysis.matrix import Column, Report
from benchproof.analysis.profiles import Profiles
from benchproof.model import Frozen
from benchproof.reporters import FORMATS
from commands import command
from exports import HOSTILE, report

NAMES = ("mine/fortress", "mine/balanced", "mine/fast")


class Row(Frozen, frozen=True):
    """One metric of a comparison, as far as it matters here."""

    benchmark: str
    parameters: dict[str, object]
    metric: str
    unit: Any
    comparison: Comparison


class Versus(Frozen, frozen=True):
    """A comparison of two targets, as far as it matters here."""

    context: tuple[str, ...]
    rows: tuple[Row, ...]


def times(factor: float) -> dict[int, float]:
    return {block: 100.0 * factor * (1 + block / 1000) for block in range(10)}


COSTS = {"mine/fortress": 2.0, "mine/balanced": 1.0, "mine/fast": 0.5}


def between(base: str, new: str) -> Versus:
    side = Side(base=times(COSTS[base]), new=times(COSTS[new]), better="lower")
    found = judge({"x": side})["x"]
    return Versus((), (Row("syscall.getpid", {}, "syscall.getpid.latency", "ns", found),))


def found_of(base: str = NAMES[0], names: tuple[str, ...] = NAMES, how: Any = between, **more: Any) -> Profiles:
    return profiles.of("mine", base, names, how, **({"emulated": False} | more))


def test_every_profile_is_compared_with_every_other_and_a_planted_cost_is_found():
    found = found_of()
    assert [(pair.base, pair.new) for pair in found.pairs] == list(itertools.combinations(NAMES, 2))
    ratios = {(pair.base[5:], pair.new[5:]): pair.comparisons[0] for pair in found.pairs}
    assert {pair: (each.verdict, round(each.ratio.estimate, 2)) for pair, each in ratios.items()} == {
        ("fortress", "balanced"): ("faster", 0.5),
        ("fortress", "fast"): ("faster", 0.25),
        ("balanced", "fast"): ("faster", 0.5),
    }


def test_costs_are_against_the_base_wherever_it_stands():
    found = found_of("mine/fast")
    assert found.targets == ("mine/fast", "mine/fortress", "mine/balanced")
    assert [(pair.new, pair.comparisons[0].verdict) for pair in found.costs] == [
        ("mine/fortress", "slower"),
        ("mine/balanced", "slower"),
    ]


def test_a_metric_that_a_pair_does_not_have_keeps_its_place():
    def how(base: str, new: str) -> Versus:
        more = Row("ipc.pipe", {}, "ipc.pipe.throughput", "bytes/s", incomparable("lost"))
        rows = between(base, new).rows
        return Versus((), rows if (base, new) == NAMES[:2] else (more, *rows))

    found = found_of(how=how)
    assert [metric.metric for metric in found.metrics] == ["syscall.getpid.latency", "ipc.pipe.throughput"]
    assert found.pairs[0].comparisons[1] is None
    assert found.pairs[1].comparisons[1] == incomparable("lost")


def test_of_very_many_profiles_each_is_compared_with_the_base_alone():
    names = tuple(f"mine/{n}" for n in range(profiles.MOST + 1))
    found = found_of(names[0], names, lambda _base, _new: Versus((), ()))
    assert len(found.pairs) == profiles.MOST
    assert {pair.base for pair in found.pairs} == {names[0]}


def with_profiles(*found: Profiles, reference: str = "base") -> Report:
    columns = tuple(Column(target=name, reference=reference, envelope="", context=()) for name in NAMES)
    return msgspec.structs.replace(report(), columns=(*report().columns, *columns), profiles=found)


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_the_cost_of_each_profile_is_in_the_report(form):
    text = " ".join(FORMATS.load(form)(with_profiles(found_of())).replace("\\", "").split())
    assert "he cost of each profile of mine, against fortress" in text
    assert "+ 0.50x [0.50, 0.50]" in text
    assert "TCG" not in text
    assert "No total" in text


def test_markdown_has_every_profile_against_every_other():
    text = FORMATS.load("markdown")(with_profiles(found_of()))
    assert "## Every profile of mine against every other" in text
    assert "| syscall.getpid.latency | balanced |  | + 0.50x" in text


def test_two_profiles_need_no_second_table():
    text = FORMATS.load("markdown")(with_profiles(found_of(names=NAMES[:2])))
    assert "against every other" not in text
    assert "## The cost of each profile of mine" in text


def test_a_terminal_does_not_say_twice_what_its_own_table_has():
    text = " ".join(FORMATS.load("terminal")(with_profiles(found_of(), reference="mine/fortress")).split())
    assert "against fortress, is told by the ratios above" in text
    assert "0.50x" not in text


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_emulated_profiles_carry_the_label_that_they_are_relative(form):
    text = " ".join(FORMATS.load(form)(with_profiles(found_of(emulated=True))).split())
    assert "emulated (TCG)" in text
    assert "between these profiles alone" in text


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_profiles_that_differ_in_more_than_was_declared_are_not_compared_and_that_is_told(form):
    def how(base: str, new: str) -> Versus:
        context = ("machine.memory_mib: 64 against 128",) if "fast" in new else ()
        return Versus(context, between(base, new).rows)

    text = " ".join(FORMATS.load(form)(with_profiles(found_of(how=how))).split())
    assert "not compared: fast with fortress" in text
    assert "machine.memory" in text
    assert "0.25x" not in text


def test_names_of_profiles_are_neither_markup_nor_commands():
    def how(_base: str, _new: str) -> Versus:
        return Versus((HOSTILE,), (Row("b", {}, HOSTILE, "ns", incomparable(HOSTILE)),))

    found = found_of("mine/a", ("mine/a", f"mine/{HOSTILE}", "mine/b"), how)
    for form in ("terminal", "markdown"):
        text = FORMATS.load(form)(with_profiles(found))
        assert "\x1b" not in text
        assert form == "terminal" or "<script>" not in text


PLAN = """
[targets.mine]
kind = "command"
command = ["env", "PROFILE={profile}", "{argv}"]
[targets.mine.matrix]
profile = ["fortress", "balanced", "fast"]
[suites.s]
benchmarks = [{ name = "syscall.getpid", samples = 2, sample_time = "0.1 ms" }]
[run]
blocks = 6
"""


def test_a_run_of_a_matrix_compares_all_to_all_and_verifies(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)

    def benchproof(*words: str, status: tuple[int, ...] = (0,)) -> str:
        done = command(*words, "--home", "home", cwd=tmp_path)
        assert done.returncode in status, done.stderr
        return done.stdout + done.stderr * (done.returncode == 2)

    benchproof("run", "--plan", "plan.toml")
    found = msgspec.json.decode(benchproof("report", "--json"), type=Report)
    (matrix,) = found.profiles
    assert (matrix.targets, matrix.base) == (NAMES, "mine/fortress")
    assert [pair.comparisons[0].ratio.n for pair in matrix.pairs] == [6, 6, 6]
    benchproof("verify", "last")
    assert "## Every profile of mine against every other" in benchproof("report", "--format", "markdown")
    assert benchproof("compare", "last", "--all", status=(0, 1, 3)).count("new / base") == 3
    (tmp_path / "policy.toml").write_text('[gates."syscall.getpid"]\ntarget = "mine"\nmust_pass = true\n')
    assert "3 met" in benchproof("gate", "last", "--policy", "policy.toml")
    assert "name that run alone" in benchproof("compare", "last", "--all", "--targets", "a,b", status=(2,))
