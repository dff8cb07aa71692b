"""A report with every kind of cell and gate, for the tests of reporters, as a run would have given it."""

from __future__ import annotations

from benchproof.analysis import stats
from benchproof.analysis.gate import Gate, GateVerdict, Verdict
from benchproof.analysis.limit import Limit
from benchproof.analysis.matrix import Cell, Column, Report, Row
from benchproof.model import Better, Unit

HOSTILE = "a\"b'c<script>alert(1)</script>&|,;:%\n::error::x\r\x00\x1b[31m\u202e\ud800{}\\[red]"


def passed(*values: float, duration_ns: int = 1_500_000_000) -> Cell:
    return Cell(
        status="passed",
        n=len(values),
        median=stats.median(values),
        spread=None,
        comparison=None,
        notes=(),
        values=values,
        summary=stats.summary(values),
        duration_ns=duration_ns,
    )


def without_number(status: str, reason: str) -> Cell:
    return Cell(status=status, n=0, median=None, spread=None, comparison=None, notes=(reason,))


def row(
    metric: str, unit: Unit | None, cells: dict[str, Cell], *, better: Better = "lower", parameters: dict | None = None
) -> Row:
    benchmark = metric if unit is None else metric.rpartition(".")[0]
    return Row(
        benchmark=benchmark, parameters=parameters or {}, tier=1, metric=metric, unit=unit, better=better, cells=cells
    )


def rows(target: str, reason: str) -> tuple[Row, ...]:
    return (
        row(
            "syscall.getpid.latency",
            "ns",
            {"base": passed(90.0, 100.0, 110.0), target: without_number("unsupported", reason)},
        ),
        row(
            "ipc.pipe.throughput",
            "bytes/s",
            {"base": passed(2e9, 4e9), target: without_number("failed", reason)},
            better="higher",
        ),
        *(
            row(
                "memory.memcpy.bytes",
                "bytes",
                {"base": passed(size), target: passed(size + 1)},
                parameters={"size": size},
            )
            for size in (1024, 2048)
        ),
        row("net.rtt", None, {"base": without_number("invalid", reason), target: without_number("missing", "not run")}),
    )


def verdict(word: Verdict, reason: str = "", *, target: str = "base") -> GateVerdict:
    gate = Gate(
        key="syscall.getpid",
        benchmark="syscall.getpid",
        metric=None,
        statistic="median",
        limit=Limit.parse("< 95 ns"),
        mode="review" if word == "review" else "off" if word == "off" else "gate",
    )
    figure = None if word == "off" else 100.0
    return GateVerdict(
        gate=gate, target=target, parameters={}, n=3, figure=figure, margin=None, verdict=word, reason=reason
    )


def report(*, target: str = "other", reason: str = "no such call", gates: tuple[GateVerdict, ...] = ()) -> Report:
    found = rows(target, reason)
    cells = [cell for each in found for cell in each.cells.values()]
    return Report(
        run_id="20261120T000000Z-abcdef",
        created_at="2026-11-20T00:00:00+00:00",
        version="0.1.0",
        state="complete",
        blocks=3,
        label="",
        vary=("system",),
        seed=1,
        columns=tuple(
            Column(target=each, reference="base", envelope="sha256:x", context=()) for each in ("base", target)
        ),
        rows=found,
        passed=sum(cell.status == "passed" for cell in cells),
        total=len(cells),
        statuses={},
        warnings=(),
        envelopes={"sha256:x": {"host": {"cpus": "2", "architecture": "x86_64", "kernel": "Linux 6.12"}}},
        section_hashes={"sha256:x": {"host": "sha256:y"}},
        gates=gates,
        labels={"commit": "0123abc"},
    )
