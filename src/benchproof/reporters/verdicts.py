"""The words of the table of gates: figure, limit, margin, verdict, reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from benchproof.analysis.gate import GateVerdict, Verdict
from benchproof.analysis.matrix import Report
from benchproof.reporters import layout

HEAD = ("gate", "target", "statistic", "figure", "limit", "margin", "verdict", "reason")
VERDICTS: dict[Verdict, str] = {
    "met": "met",
    "not met": "NOT MET",
    "undecided": "undecided",
    "review": "review",
    "off": "off",
}


def texts(verdict: GateVerdict, report: Report) -> tuple[str, ...]:
    """One line of the table of gates, its fields as in `HEAD`."""
    gate = verdict.gate
    asked = [each for each in report.gates if (each.gate.key, each.target) == (gate.key, verdict.target)]
    differing = {
        key: found
        for key, found in verdict.parameters.items()
        if any(each.parameters.get(key) != found for each in asked)
    }
    name = " ".join([gate.key, *(f"{key}={found}" for key, found in differing.items())]) + layout.purpose(
        verdict.parameters
    )
    name += layout.rules(report, gate.benchmark)
    figures = _figures(verdict, report)
    target = layout.shown_target(report, verdict.target)
    return (
        name,
        target,
        _statistic(verdict),
        *figures,
        VERDICTS[verdict.verdict],
        layout.cut(verdict.reason, 2 * layout.MOST_OF_A_NOTE),
    )


def _statistic(verdict: GateVerdict) -> str:
    gate = verdict.gate
    if gate.baseline is not None:
        return f"ratio to {verdict.base or gate.baseline}"
    if gate.width is not None:
        return f"speed-up 1 to {gate.width}"
    return "median, p95" if gate.bands else gate.statistic or "must pass"


def line(verdict: GateVerdict, report: Report) -> str:
    """A verdict with its figure and its reason, as one sentence."""
    name, target, statistic, shown, limit, _, word, reason = texts(verdict, report)
    held = f"{statistic} {shown}, limit {limit}" if shown else f"{statistic}, limit {limit}"
    return f"{word}: {name} of {target}: {held}" + (f": {reason}" if reason else "")


def _figures(verdict: GateVerdict, report: Report) -> tuple[str, str, str]:
    """Figure, limit and margin."""
    gate = verdict.gate
    if gate.bands:
        limit = gate.bands[0].median
        shown = ", ".join(
            f"{layout.figure(each / limit.scale)} {limit.word}".rstrip() for each in verdict.figures.values()
        )
        return f"{shown}: {verdict.band}" if shown else "", f"{gate.require} or better", ""
    if gate.limit is None:
        return f"{verdict.n} passed", f"all {report.blocks}", ""
    if verdict.interval is not None:
        ends = [f"{each:.3f}" for each in (verdict.interval.low, verdict.interval.high)]
        return f"{verdict.interval.estimate:.3f} [{', '.join(ends)}]", gate.limit.text, _margin(verdict)
    return _amount(verdict.figure, verdict), gate.limit.text, _margin(verdict)


def _amount(value: float | None, verdict: GateVerdict) -> str:
    """In the unit in which the limit was written."""
    limit = verdict.gate.limit
    return "" if value is None or limit is None else f"{layout.figure(value / limit.scale)} {limit.word}".rstrip()


def _margin(verdict: GateVerdict) -> str:
    """The room that is left as a share of the limit; as an amount where the limit is nothing."""
    if verdict.margin is None or verdict.gate.limit is None:
        return ""
    bound = verdict.gate.limit.bound
    return f"{verdict.margin / bound:+.1%}" if bound else _amount(verdict.margin, verdict)


def counts(verdicts: Iterable[GateVerdict]) -> str:
    """How many gates ended how."""
    found = Counter(each.verdict for each in verdicts)
    return ", ".join(f"{found[verdict]} {word}" for verdict, word in VERDICTS.items() if found[verdict])
