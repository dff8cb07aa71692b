"""Two targets of one run, or the same of two runs, metric by metric: what differs, and what cannot be compared and why.

Within a run the sides were interleaved; pairs are blocks. Two runs were made at different times: their ratio also holds
what the machine did between them, so the margin is as wide as the measured drift, or an assumed one that is told.
Counts of instructions know no time. Nothing is left out: what only one side has is listed as lost or gained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from benchproof.analysis import compare, inspired, stats
from benchproof.analysis.compare import Comparison, Design, Side, incomparable
from benchproof.analysis.inspired import Inspired
from benchproof.analysis.invocations import Question
from benchproof.analysis.matrix import Cell, Row, unlike
from benchproof.model import Better, Facet, Frozen, Unit

ASSUMED_DRIFT = 0.10  # between two runs on one machine where `calibrate` has measured none

Key = tuple[Question, str]  # question, metric


class Half(Frozen, frozen=True, kw_only=True):
    """One side: a target of a run, and all that was found of it."""

    run_id: str
    target: str
    exact: bool  # its instructions were counted
    complete: bool  # the run came to its end
    imported: bool = False  # nothing says that its targets took turns, and its envelope describes the file alone
    envelope: str  # hash; empty where the target could not be described
    rows: dict[Key, Row]
    values: dict[Key, dict[int, float]]  # one an invocation, by block
    labels: tuple[str, ...] = ()  # what a reader has to know before any of its numbers
    inspired: tuple[Inspired, ...] = ()  # the same of benchmarks

    @property
    def name(self) -> str:
        """How it is called in a table."""
        return f"{self.run_id}/{self.target}"

    def row(self, key: Key) -> Row | None:
        """Of this metric, or of its question where that has no answer at all."""
        unanswered = (row for (asked, _), row in self.rows.items() if asked == key[0] and row.unit is None)
        return self.rows.get(key) or next(unanswered, None)


class Compared(Frozen, frozen=True, kw_only=True):
    """One metric on both sides. A side where it was not asked is None."""

    benchmark: str
    parameters: dict[str, object]
    metric: str
    unit: Unit | None
    better: Better | None
    base: Cell | None
    new: Cell | None
    comparison: Comparison


class Versus(Frozen, frozen=True, kw_only=True):
    """Everything about one pair. `context`: the facts that forbid any ratio."""

    base: str  # run/target
    new: str
    interleaved: bool
    vary: tuple[Facet, ...]
    design: Design
    context: tuple[str, ...]
    warnings: tuple[str, ...]
    rows: tuple[Compared, ...]
    verdicts: dict[str, int]  # verdict -> metrics
    lost: tuple[str, ...]  # metrics that base answered and new did not; of one run, those that new got wrong
    gained: tuple[str, ...]
    remedy: str = ""  # how to compare in spite of the context, or why nothing helps


def between(
    base: Half,
    new: Half,
    *,
    context: tuple[str, ...],
    vary: tuple[Facet, ...],
    design: Design,
    drift: Mapping[Key, float] | None = None,
    remedy: str = "",
) -> Versus:
    """The comparison. `drift`: the measured floor of runs made apart, as shares; `remedy`: what helps, if anything."""
    one_run = base.run_id == new.run_id
    interleaved = one_run and not new.imported
    if not interleaved:
        design = msgspec.structs.replace(design, looks=())  # each run ended where its own looks said
    keys = _keys(base, new)
    reasons = {key: _why_not(base, new, key, context) for key in keys}
    able = [key for key in keys if not reasons[key]]
    if base.exact:
        found = {key: _exactly(base, new, key) for key in able}
    else:
        found = _timed(base, new, able, design, _floor(new, interleaved=interleaved, drift=drift or {}))
    rows = tuple(_compared(base, new, key, found.get(key) or incomparable(reasons[key])) for key in keys)
    return Versus(
        base=base.name,
        new=new.name,
        interleaved=interleaved,
        vary=vary,
        design=design,
        context=context,
        warnings=tuple(_warnings(base, new, assumed=[key[1] for key in able if key not in (drift or {})])),
        rows=rows,
        verdicts={str(key): count for key, count in compare.counts(row.comparison for row in rows).items()},
        lost=tuple(row.metric for row in rows if _is_lost(row.base, row.new, one_run=one_run)),
        gained=tuple(row.metric for row in rows if _is_lost(row.new, row.base, one_run=one_run)),
        remedy=remedy,
    )


def pooled(pairs: Sequence[tuple[Half, Half]], each: Sequence[Versus]) -> Versus:
    """The same two targets in several runs as one comparison; `each`: that of every pair by itself, in the same order.

    A metric that cannot be compared in one of the runs is compared in none: leaving that run out would be a choice.
    The error is shared among the metrics (Bonferroni), since a resampled interval has no exact p.
    """
    tables = [dict(zip(_keys(*pair), versus.rows, strict=True)) for pair, versus in zip(pairs, each, strict=True)]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    alpha = (1 - stats.CONFIDENCE) / max(len(keys), 1)
    rows = tuple(_pooled(key, pairs, tables, each[0].design, alpha) for key in keys)
    return msgspec.structs.replace(
        each[0],
        base=" + ".join(base.name for base, _ in pairs),
        new=" + ".join(new.name for _, new in pairs),
        warnings=tuple(dict.fromkeys(warning for versus in each for warning in versus.warnings)),
        rows=rows,
        verdicts={str(key): count for key, count in compare.counts(row.comparison for row in rows).items()},
        lost=tuple(dict.fromkeys(metric for versus in each for metric in versus.lost)),
        gained=tuple(dict.fromkeys(metric for versus in each for metric in versus.gained)),
    )


def _pooled(
    key: Key, pairs: Sequence[tuple[Half, Half]], tables: Sequence[Mapping[Key, Compared]], design: Design, alpha: float
) -> Compared:
    shown = next(table[key] for table in tables if key in table)
    for (_, new), table in zip(pairs, tables, strict=True):
        row = table.get(key)
        if row is None or row.comparison.verdict == "incomparable":
            why = row.comparison.reason if row is not None else "it was not asked there"
            return msgspec.structs.replace(shown, comparison=incomparable(f"in run {new.run_id}: {why}"))
    if pairs[0][0].exact:
        return msgspec.structs.replace(shown, comparison=_all_alike([table[key].comparison for table in tables]))
    assert shown.better is not None  # it was compared
    sides = [
        Side(base=base.values[key], new=new.values[key], better=shown.better, floor=table[key].comparison.floor)
        for (base, new), table in zip(pairs, tables, strict=True)
    ]
    found = {key: compare.pooled(sides, design, alpha=alpha)}
    if all(_same(base, new) for base, new in pairs):
        found = _without_claims(found)
    told = dict.fromkeys(words for table in tables if (words := table[key].comparison.unlike))
    return msgspec.structs.replace(shown, comparison=msgspec.structs.replace(found[key], unlike=" / ".join(told)))


def _all_alike(counts: Sequence[Comparison]) -> Comparison:
    """Counts of several runs say the same, or something other than the systems differs."""
    same = all(each == counts[0] for each in counts)
    return counts[0] if same else incomparable("the runs do not agree on the counts of instructions")


def _keys(base: Half, new: Half) -> list[Key]:
    """Every metric of either side; a question that neither answered stands once, under its own name."""
    both = {**new.rows, **base.rows}
    answered = {key[0] for key, row in both.items() if row.unit is not None}
    return [
        key for key in dict.fromkeys((*base.rows, *new.rows)) if both[key].unit is not None or key[0] not in answered
    ]


def _why_not(base: Half, new: Half, key: Key, context: tuple[str, ...]) -> str:
    """Why this metric is not compared; empty if it is."""
    for name, side in (("base", base), ("new", new)):
        if missing := _why_absent(side, key):
            return f"{missing[0]} in {name}: {missing[1]}"
    one, other = base.rows[key], new.rows[key]
    if (one.unit, one.better) != (other.unit, other.better):
        return f"units or directions differ: {one.unit}, {one.better} against {other.unit}, {other.better}"
    if kinds := inspired.why_not(*(inspired.of(key[0][0], side.inspired) for side in (base, new))):
        return f"they follow different rules: {kinds}"
    if base.exact != new.exact:
        return "one side was counted in instructions and the other timed"
    return f"what was not declared to vary differs: {'; '.join(context)}" if context else ""


def _why_absent(side: Half, key: Key) -> tuple[str, str] | None:
    """What became of the metric on this side and why; None where it has values."""
    row = side.row(key)
    if row is None:
        return "missing", "it was not asked there"
    cell = row.cells[side.target]
    if cell.status != "passed":
        unseen = "no oracle saw the work" if cell.status == "unverified" else "no reason is on record"
        return cell.status, "; ".join(cell.notes) or unseen
    return None if side.values.get(key) else ("missing", "no invocation has this metric")


def _exactly(base: Half, new: Half, key: Key) -> Comparison:
    better = base.rows[key].better
    assert better is not None  # both sides have values
    (one,), (other,) = base.values[key].values(), new.values[key].values()
    return compare.exactly(one, other, better)


def _floor(new: Half, *, interleaved: bool, drift: Mapping[Key, float]) -> Callable[[Key], float | None]:
    """The floor of a metric: that of the run itself, or what the machine does between two runs."""

    def floor(key: Key) -> float | None:
        inherited = new.rows[key].cells[new.target].comparison
        return (inherited.floor if inherited else None) if interleaved else drift.get(key, ASSUMED_DRIFT)

    return floor


def _timed(
    base: Half, new: Half, keys: list[Key], design: Design, floor: Callable[[Key], float | None]
) -> dict[Key, Comparison]:
    sides = {
        key: Side(base=base.values[key], new=new.values[key], better=better, floor=floor(key))
        for key in keys
        if (better := base.rows[key].better) is not None
    }
    found = compare.judge(sides, design)
    return _without_claims(found) if _same(base, new) else found


def _same(base: Half, new: Half) -> bool:
    """One thing under two names, side by side."""
    return base.run_id == new.run_id and base.envelope == new.envelope and not new.imported


def _without_claims(found: Mapping[Key, Comparison]) -> dict[Key, Comparison]:
    reason = "both sides are the same system by every hash: what differs is noise, never a regression"
    return {
        key: msgspec.structs.replace(each, verdict="undecided", reason=reason)
        if each.verdict in {"faster", "slower"}
        else each
        for key, each in found.items()
    }


def _compared(base: Half, new: Half, key: Key, comparison: Comparison) -> Compared:
    one, other = base.row(key), new.row(key)
    row = next(each for each in (one, other) if each is not None and each.metric == key[1])
    before, after = _alone(one, base.target), _alone(other, new.target)
    if before and after and comparison.verdict != "incomparable":
        comparison = msgspec.structs.replace(comparison, unlike=unlike(base.name, before, new.name, after))
    return Compared(
        benchmark=row.benchmark,
        parameters=row.parameters,
        metric=row.metric,
        unit=row.unit,
        better=row.better,
        base=before,
        new=after,
        comparison=comparison,
    )


def _alone(row: Row | None, target: str) -> Cell | None:
    """The cell without the comparison that its own run made of it."""
    return msgspec.structs.replace(row.cells[target], comparison=None) if row is not None else None


def _is_lost(had: Cell | None, has: Cell | None, *, one_run: bool) -> bool:
    """An answer became none. What the laboratory spoiled is not lost; nor is, in one run, what a target never had."""
    if had is None or had.status != "passed":
        return False
    return has is None or has.status == "failed" or (has.status in {"missing", "unsupported"} and not one_run)


def _warnings(base: Half, new: Half, *, assumed: Sequence[str]) -> list[str]:
    """`assumed`: the metrics whose drift between two times nobody measured."""
    found = []
    one_run = base.run_id == new.run_id
    if (not one_run or new.imported) and not (base.exact and new.exact):
        when = (
            "the file does not say that its targets took turns"
            if one_run
            else "the two runs were made at different times"
        )
        guess = f"is assumed to be {ASSUMED_DRIFT:.0%} for {', '.join(assumed[:3])}{' ...' * (len(assumed) > 3)}"
        how = f"{guess} (calibrate measures it)" if assumed else "was measured by calibrate"
        found.append(
            f"{when}: what the machine did between them is in every ratio, and {how}; "
            "to know, measure both as targets of one run"
        )
    if _same(base, new):
        found.append("both sides are the same system by every hash: the ratios show the noise of this machine")
    found += [f"run {side.run_id} was ended before its last block" for side in (base, new) if not side.complete]
    found += [
        f"{side.name}: {'; '.join(side.labels)}: its figures are of such a system alone"
        for side in (base, new)
        if side.labels
    ]
    found += [f"{side.name}: {each}" for side in (base, new) for each in side.inspired]
    return list(dict.fromkeys(found))
