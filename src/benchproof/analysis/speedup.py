"""Gates on a speed-up: it is of several cases together, so a row of the scaling table is judged and not a case.

It is the ratio of the medians, time at width 1 to time at the width of the gate, within one system. A width that the
machine has no CPUs for is no evidence, whatever its figure: then there is no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchproof.analysis.gate import Gate, GateVerdict, word
from benchproof.analysis.scaling import ScalingRow, Step

_NO_EVIDENCE = {"unsupported", "missing", "invalid"}
_SLOWER = "slower than"


def judge(gates: Iterable[Gate], rows: Sequence[ScalingRow], *, complete: bool) -> Iterator[GateVerdict]:
    """Each gate on each row of its benchmark that its target has a part in."""
    for gate in gates:
        if gate.statistic != "speedup":
            continue
        meant = [row for row in rows if row.benchmark == gate.benchmark and gate.target in {None, *row.targets}]
        yield from (_verdict(gate, row, complete=complete) for row in meant)
        if not meant:
            reason = f"missing: '{gate.benchmark}' was not asked at several widths, such as width = [1, {gate.width}]"
            yield _told(gate, gate.target or "every target", met=False if complete else None, reason=reason)


def _verdict(gate: Gate, row: ScalingRow, *, complete: bool) -> GateVerdict:
    step = next((step for step in row.steps if step.width == gate.width), None)
    met, reason = _found(gate, row, step, complete=complete)
    return _told(gate, row.system, met=met, reason=reason, step=step, workload=row.workload)


def _found(gate: Gate, row: ScalingRow, step: Step | None, *, complete: bool) -> tuple[bool | None, str]:
    """Whether it is met, None where the evidence does not say; and why."""
    if row.status.startswith(("failed", "historical")):
        return False, row.status
    if step is None:
        return False if complete else None, f"missing: it was not asked at width {gate.width}"
    if step.speedup is None or gate.limit is None:
        status = next((each.status for each in row.steps if each.median is None), step.status)
        return None if status in _NO_EVIDENCE else False, f"no speed-up: {status}"
    fewest = min(step.n, row.steps[0].n)  # a ratio is as good as the worse of its two sides; the first is width 1
    if not complete or fewest < gate.least:
        return None, f"insufficient evidence: {fewest} invocations, the gate asks for {gate.least} of a complete run"
    if step.reason and not step.reason.startswith(_SLOWER):
        return None, f"no speed-up evidence: {step.reason}"
    return gate.limit.holds(step.speedup), ""


def _told(
    gate: Gate, target: str, *, met: bool | None, reason: str, step: Step | None = None, workload: str = ""
) -> GateVerdict:
    figure = step.speedup if step else None
    return GateVerdict(
        gate=gate,
        target=target,
        parameters={"workload": workload} if workload else {},
        n=step.n if step else 0,
        figure=figure,
        margin=gate.limit.margin(figure) if gate.limit and figure is not None else None,
        verdict=word(gate.mode, met=met),
        reason=reason,
    )
