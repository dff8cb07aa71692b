"""What a monitoring system may know of the runs: the newest verified figures, and how the newest run ended.

A gauge is never the figure of a failed, invalid or imported case: where the newest answer has no figure, the gauge is
gone, and a counter says so. Nothing is computed here that the index has not; no raw sample leaves this way, and there
are never more than `MOST_SERIES` figures, whatever the runs are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from benchproof.analysis.apart import told_apart
from benchproof.analysis.gate import WORST_FIRST
from benchproof.errors import one_line
from benchproof.model import Frozen
from benchproof.store import bundle, points, verdicts

if TYPE_CHECKING:
    from benchproof.store.bundle import Run
    from benchproof.store.index import Index
    from benchproof.store.newest import Newest
    from benchproof.store.points import Case

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
MOST_SERIES = 2000
LONGEST_LABEL = 200  # characters
_LOOKED_AT = 10  # newest runs that are asked whether a figure was lost since

Stamp = tuple[str, str]  # when, which run: in the order of time
Shown = tuple["Newest", dict[str, str]]  # a figure and its labels


class Sample(Frozen, frozen=True):
    """One line of a gauge."""

    labels: Mapping[str, str]
    value: float


class Gauge(Frozen, frozen=True):
    """A name, what it means, and its samples; `unit` is the end of the name, or empty."""

    name: str
    meaning: str
    samples: tuple[Sample, ...]
    unit: str = ""


def exposition(index: Index, *, branch: str = "") -> str:
    """The gauges as OpenMetrics text, which node_exporter's textfile collector reads as well. Raises StoreError."""
    return "".join(line for gauge in gauges(index, branch=branch) for line in _lines(gauge)) + "# EOF\n"


def gauges(index: Index, *, branch: str = "") -> tuple[Gauge, ...]:
    """Of all runs that the index knows, or of those of a branch. Raises StoreError."""
    complete = [run for run in index.runs() if run.state == "complete" and branch in {"", run.labels.get("branch")}]
    there = [run for run in complete if run.path][-_LOOKED_AT:]
    loaded = [((run.at, run.run_id), bundle.load(run.path)) for run in there if run.path]
    lost = _without_figure(loaded)
    kept, left_out = _bounded(index.newest(branch=branch), lost)
    newest = loaded[-1][1] if loaded else None
    return (
        Gauge(
            "benchproof_last_median",
            "Median over the invocations of the newest complete run with a verified figure, in the unit of the label",
            tuple(Sample(labels, each.value) for each, labels in kept),
        ),
        Gauge(
            "benchproof_last_median_timestamp_seconds",
            "When that figure was measured",
            tuple(Sample(labels, _seconds(each.at)) for each, labels in kept),
            unit="seconds",
        ),
        Gauge(
            "benchproof_last_run_timestamp_seconds",
            "When the newest complete run was measured",
            tuple(Sample({}, _seconds(run.at)) for run in complete[-1:]),
            unit="seconds",
        ),
        Gauge(
            "benchproof_last_run_cases",
            "How the cases of the newest complete run ended; only those that passed have figures",
            tuple(_ended(newest)) if newest else (),
        ),
        Gauge(
            "benchproof_last_run_gates",
            "Verdicts of the gates that the plan of the newest complete run states",
            tuple(_gates(newest)) if newest else (),
        ),
        Gauge(
            "benchproof_series_left_out",
            f"Figures that are not shown: lost in a newer run, named too long, or the oldest beyond {MOST_SERIES}",
            tuple(Sample({"reason": reason}, count) for reason, count in sorted(left_out.items())),
        ),
    )


# ---- which figures ----


def _without_figure(loaded: Iterable[tuple[Stamp, Run]]) -> dict[Case, Stamp]:
    """The newest run that asked a case and got no figure, of each case for which there is one."""
    return {
        case: stamp
        for stamp, run in loaded
        for case, status in points.statuses(run).items()
        if status not in {"passed", "unverified"}
    }


def _bounded(found: Iterable[Newest], lost: Mapping[Case, Stamp]) -> tuple[list[Shown], Counter[str]]:
    """What is shown, in the order of names, and how much is not and why."""
    reasons = Counter({"lost": 0, "name": 0, "limit": 0})
    shown = []
    for each, labels in _labelled(found):
        if lost.get(each.case, ("", "")) > (each.at, each.run_id):
            reasons["lost"] += 1
        elif max(map(len, labels.values())) > LONGEST_LABEL:
            reasons["name"] += 1
        else:
            shown.append((each, labels))
    reasons["limit"] = max(0, len(shown) - MOST_SERIES)
    oldest = sorted(shown, key=lambda each: (each[0].at, each[0].run_id))[: reasons["limit"]]
    gone = {id(each) for each, _ in oldest}
    return [(each, labels) for each, labels in shown if id(each) not in gone], reasons


def _labelled(found: Iterable[Newest]) -> Iterator[Shown]:
    """Parameters are a label only where a metric has several cases: a label that is empty is none."""
    metrics: dict[tuple[str, ...], list[Newest]] = {}
    for each in found:
        metrics.setdefault((each.benchmark, each.metric, each.target, each.unit), []).append(each)
    for names, cases in metrics.items():
        labels = dict(zip(("benchmark", "metric", "target", "unit"), names, strict=True))
        apart = told_apart(each.parameters for each in cases)
        for each in cases:
            told = apart[each.parameters]
            yield each, labels | ({"parameters": one_line(told)} if told else {})


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


# ---- the newest run ----


def _ended(run: Run) -> Iterator[Sample]:
    counts = Counter((target, status) for (target, *_), status in points.statuses(run).items())
    for (target, status), count in sorted(counts.items())[:MOST_SERIES]:
        if len(target) <= LONGEST_LABEL:
            yield Sample({"target": target, "status": status}, count)


def _gates(run: Run) -> Iterator[Sample]:
    counts = Counter(each.verdict for each in verdicts.of_run(run))
    yield from (Sample({"verdict": word}, counts[word]) for word in WORST_FIRST if counts[word])


# ---- as text ----


def _lines(gauge: Gauge) -> Iterator[str]:
    yield f"# TYPE {gauge.name} gauge\n"
    if gauge.unit:
        yield f"# UNIT {gauge.name} {gauge.unit}\n"
    yield f"# HELP {gauge.name} {gauge.meaning}\n"
    for each in gauge.samples:
        labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in each.labels.items())
        yield f"{gauge.name}{{{labels}}} {each.value!r}\n" if labels else f"{gauge.name} {each.value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
