"""A report that has everything a report can have, for the tests of pages; and the same with every name hostile."""

from __future__ import annotations

import random

import msgspec

from benchproof.analysis import scaling
from benchproof.analysis.compare import Comparison
from benchproof.analysis.degradation import Curve, Point
from benchproof.analysis.hints import Breakdown, Hint, Stage
from benchproof.analysis.matrix import Cell, Column, Report, Row, Smoke
from benchproof.analysis.profiles import Metric, Pair, Profiles
from benchproof.analysis.published import Figure, Published
from benchproof.analysis.stats import Interval
from exports import HOSTILE, passed, verdict

KEPT = frozenset(  # fields with words of ours: with another one it is no report at all
    {"verdict", "unit", "better", "mode", "statistic", "status", "statuses", "vary", "priority", "require"}
)
OURS = frozenset({"inject", "median", "host", "machine", "system", "cpu", "cpus", "memory", "kernel", "command"})
VERDICTS = ("faster", "slower", "same", "undecided")


def ratio(verdict: str, estimate: float, **more) -> Comparison:
    interval = Interval(estimate=estimate, low=estimate * 0.9, high=estimate * 1.1, confidence=0.95, n=6)
    return Comparison(verdict=verdict, ratio=interval, margin=0.02, p=0.03, **more)


def cell(middle: float, *, blocks: int = 6, first_line: int = 1, seed: object = 0, **changes) -> Cell:
    draw = random.Random(f"{seed}{middle}")
    values = tuple(middle * (1 + draw.gauss(0, 0.02)) for _ in range(blocks))
    found = passed(*values)
    places = {"blocks": tuple(range(blocks)), "lines": tuple(range(first_line, first_line + blocks))}
    intervals = {"median": Interval(found.summary.median, min(values), max(values), 0.95, blocks)}
    return msgspec.structs.replace(found, intervals=intervals, **places, **changes)


def lacking(status: str, *notes: str) -> Cell:
    return Cell(
        status=status, n=0, median=None, spread=None, comparison=None, notes=notes, lines=(7,), logs=("logs/a",)
    )


def row(benchmark: str, cells: dict[str, Cell], *, metric: str = "latency", unit="ns", tier=1, parameters=None) -> Row:
    return Row(
        benchmark=benchmark,
        parameters=parameters or {},
        tier=tier,
        metric=f"{benchmark}.{metric}",
        unit=unit,
        better="lower",
        cells=cells,
    )


def rows() -> tuple[Row, ...]:
    timed = [
        row(
            f"syscall.{word}",
            {
                "base": cell(100.0 + place, seed=word),
                "mine": cell(120.0, seed=word, comparison=ratio(word, 1.2, reason="why", floor=0.05, unlike="a; b")),
                "far": cell(9000.0, seed=word),
            },
        )
        for place, word in enumerate(VERDICTS)
    ]
    troubles = row(
        "net.rtt",
        {
            "base": lacking("invalid", "noisy"),
            "mine": lacking("unsupported", "no network; to get it: give it one"),
            "far": lacking("failed", "a wrong answer"),
        },
        tier=2,
    )
    doubted = row("smoke.other", {"base": cell(1.0, status="unverified"), "mine": lacking("missing", "not run")})
    quantiles = [
        row("http.get", {"base": cell(value), "mine": cell(2 * value)}, metric=f"latency{name}", tier=2)
        for name, value in (("", 1e6), ("_p99", 5e6))
    ]
    count = msgspec.structs.replace(passed(346.0), lines=(9,))
    counted = row("syscall.getpid", {"exact": count}, metric="instructions", unit="instructions")
    injected = row("syscall.slow", {"base": cell(5.0)}, parameters={"inject": 1e-6})
    return (*timed, troubles, doubted, *quantiles, injected, counted)


def curves() -> tuple[Curve, ...]:
    points = tuple(
        Point(agents=n, status="passed", n=6, latency_ns=1e6 * n, ready_ns=1e6, right=9, due=10) for n in (1, 4, 16)
    )
    return (Curve(target="mine", workload="{}", cpus=2, points=points, verdict="fails", reason="why"),)


def widths() -> scaling.ScalingRow:
    medians = {width: 1e9 / width**0.8 for width in (1, 2, 4, 8)}
    points = [
        scaling.Point(width=width, median=median, times=dict.fromkeys(range(6), median), answers=("a",))
        for width, median in medians.items()
    ]
    cpus = scaling.Cpus(allowed="0-7", count=8, cores=8, pinned=True)
    return scaling.row(
        scaling.Series(
            system="mine", workload="hash", metric="scale.hash.wall", unit="ns", points=tuple(points), cpus=cpus
        )
    )


def report() -> Report:
    facts = {
        "host": {"cpu": "a CPU", "cpus": "2", "memory": "1000 kB", "kernel": "Linux", "distribution": "Debian"},
        "machine": {"execution": "native"},
        "system": {"kind": "host", "command": "bwrap --ro-bind / /"},
    }
    others = facts | {"system": {"kind": "kernel", "command": "qemu-system-x86_64 -M pc"}}
    found = rows()
    cells = [each for one in found for each in one.cells.values()]
    statuses = [each.status for each in cells]
    columns = (
        Column("base", "base", "sha256:x", ()),
        Column("mine", "base", "sha256:y", (), labels=("debug build",)),
        Column("far", "base", "sha256:y", ("machine.execution: native against tcg", "a", "b", "c")),
        Column("exact", "exact", "", (), exact=True),
    )
    metric = Metric("syscall.same", {}, "syscall.same.latency", "ns")
    pair = Pair(base="m/a", new="m/b", context=(), comparisons=(ratio("slower", 2.0, unlike="words"),))
    return Report(
        run_id="20261120T000000Z-abcdef",
        created_at="2026-11-20T00:00:00+00:00",
        version="0.1.0",
        state="complete",
        blocks=6,
        label="",
        vary=("system",),
        seed=1,
        columns=columns,
        rows=found,
        passed=statuses.count("passed"),
        total=len(cells),
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        warnings=("a doubt",),
        envelopes={"sha256:x": facts, "sha256:y": others},
        section_hashes={key: dict.fromkeys(facts, "sha256:z") for key in ("sha256:x", "sha256:y")},
        gates=tuple(verdict(word, "because") for word in ("met", "not met", "undecided", "review", "off")),
        labels={"commit": "0123abc"},
        scaling=(widths(),),
        crowds=curves(),
        profiles=(Profiles(name="m", base="m/a", targets=("m/a", "m/b"), metrics=(metric,), pairs=(pair,)),),
        smokes=(Smoke("mine", "smoke.echo", "failed", "silence"), Smoke("base", "smoke.echo", "passed", "")),
        published=(
            Published(
                name="another",
                source="a paper",
                figures=(Figure(metric="syscall.same.latency", text="3 us", value=3e3, unit="ns"),),
            ),
        ),
        authorities={"syscall.same": "network"},
        stages=(Breakdown("mine", "syscall.same", {}, 100.0, (Stage("enter", 100.0, 1.0),)),),
        hints=(Hint("rule", "mine", "syscall.same", {}, "a cause", "a remedy", ("what was seen",)),),
    )


def hostile(value, more: str = HOSTILE, field: str = ""):
    """The same with this behind every word that is not one of ours: names that belong together still do."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(
            value, **{name: hostile(getattr(value, name), more, name) for name in value.__struct_fields__}
        )
    if isinstance(value, dict):
        return {key if key in OURS else hostile(key, more): hostile(each, more, field) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(hostile(each, more, field) for each in value)
    return value + more if isinstance(value, str) and field not in KEPT else value
