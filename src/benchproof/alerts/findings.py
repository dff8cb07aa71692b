"""What each rule finds now: bad, good or undecided, of each thing that it watches.

No difference of two figures alarms anyone: a trend is judged by its confirmed levels and the interval of their
difference, a baseline and a limit as `benchproof gate` judges them. What is undecided opens nothing and ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import msgspec

from benchproof import baselines, foreign, gating, history, report
from benchproof.alerts.rules import PLAN, TREND, Rule
from benchproof.analysis import trend
from benchproof.analysis.apart import told_apart
from benchproof.analysis.gate import REFERENCE, GateVerdict
from benchproof.analysis.matrix import Report
from benchproof.analysis.trend import Stretch, Trend
from benchproof.errors import BenchproofError, UsageError
from benchproof.model import Better, Frozen
from benchproof.policy import Policy
from benchproof.reporters import layout, verdicts
from benchproof.store import bundle
from benchproof.store.bundle import Run

if TYPE_CHECKING:
    from benchproof.store.index import Index, Known

State = Literal["bad", "good", "undecided"]
_Z95 = 1.96
_LOOKED_AT = 50  # newest runs, for one that a rule on gates can judge


class Subject(Frozen, frozen=True):
    """What a finding is about; empty where it is about all runs."""

    benchmark: str = ""
    metric: str = ""
    target: str = ""
    parameters: str = ""

    def called(self, parameters: str) -> str:
        """In words, with those of its parameters that tell it apart."""
        if not self.benchmark:
            return "runs"
        return " ".join(filter(None, (self.metric, parameters, "of", self.target)))


class Finding(Frozen, frozen=True, kw_only=True):
    """`text` says why, with the figures."""

    rule: str
    subject: Subject
    state: State
    text: str
    name: str = "runs"  # of the subject, for a reader


class Watch:
    """The runs of a home as rules ask for them, each question answered once."""

    def __init__(self, index: Index, *, home: Path, url: str | None, now: datetime) -> None:
        self._index = index
        self._home = home
        self._url = url
        self._now = now
        self._trends: dict[tuple[str, str, str, float | None], tuple[Trend, ...]] = {}

    def found(self, rule: Rule) -> tuple[Finding, ...]:
        """All that the rule watches. What cannot be asked at all is one finding, undecided."""
        try:
            found = tuple(self._ask(rule))
        except BenchproofError as error:
            return (Finding(rule=rule.name, subject=Subject(), state="undecided", text=str(error)),)
        if found:
            return tuple(_named(found))
        asked = f"benchmark '{rule.benchmark}', metric '{rule.metric}', target '{rule.target}'"
        return (Finding(rule=rule.name, subject=Subject(), state="undecided", text=f"nothing matches {asked}"),)

    def _ask(self, rule: Rule) -> Iterator[Finding]:
        if rule.no_run_for is not None:
            yield self._stale(rule)
        elif rule.gates is not None:
            run = self._newest(rule)
            yield from _of_gates(rule, gating.judged(run, _policy(rule), baseline=None, find=self._find(run)).report)
        elif rule.against == TREND:
            yield from self._of_trends(rule)
        else:
            yield from self._of_baseline(rule)

    # ---- has anything been measured? ----

    def _stale(self, rule: Rule) -> Finding:
        assert rule.no_run_for is not None
        matching = [
            each.at
            for each in self._index.newest(branch=rule.branch)
            if rule.asks_for(benchmark=each.benchmark, metric=each.metric, target=each.target)
        ]
        limit_h = rule.no_run_for / 3600
        if not matching:
            return Finding(
                rule=rule.name, subject=Subject(), state="bad", text="no complete run has ever had a verified figure"
            )
        age_h = (self._now - datetime.fromisoformat(max(matching))).total_seconds() / 3600
        text = f"the newest verified figure is of {max(matching)[:16]}Z, {age_h:.1f} h ago; expected one every "
        state: State = "bad" if age_h > limit_h else "good"
        return Finding(rule=rule.name, subject=Subject(), state=state, text=f"{text}{limit_h:g} h")

    # ---- against its own history ----

    def _of_trends(self, rule: Rule) -> Iterator[Finding]:
        assert rule.worse is not None
        delta = rule.worse if rule.worse < trend.DELTA else None  # what is to be found must count as a change
        what = next((name for name in (rule.benchmark, rule.metric) if not _is_pattern(name)), "")
        target = "" if _is_pattern(rule.target) else rule.target
        asked = (what, target, rule.branch, delta)
        if asked not in self._trends:
            found = history.trends(self._index, what=what, target=target, branch=rule.branch, delta=delta)
            self._trends[asked] = found
        times = {run.run_id: run.at for run in self._index.runs()} if rule.since else {}
        for each in self._trends[asked]:
            if rule.asks_for(benchmark=each.benchmark, metric=each.metric, target=each.target):
                state, text = _worsened(each.newest, float(rule.worse), since=rule.since, times=times)
                subject = Subject(each.benchmark, each.metric, each.target, each.parameters)
                yield Finding(rule=rule.name, subject=subject, state=state, text=text)

    # ---- against another run ----

    def _of_baseline(self, rule: Rule) -> Iterator[Finding]:
        assert rule.worse is not None
        run = self._newest(rule)
        find = self._find(run)
        there = _directions(report.build(find(rule.against)))
        gone = {asked: better for asked, better in there.items() if asked[1].startswith(f"{asked[0]}.")}
        wanted = gone | _directions(report.build(run))  # what only the baseline has is lost, and that is bad
        gates = {
            metric: {"statistic": "ratio", "limit": _limit(better, float(rule.worse)), "baseline": rule.against}
            for (benchmark, metric), better in wanted.items()
            if rule.asks_for(benchmark=benchmark, metric=metric, target=rule.target)
        }
        if gates:
            stated = Policy(name=f"rule {rule.name}", baseline=rule.against, gates=gates)
            yield from _of_gates(rule, gating.judged(run, stated, baseline=None, find=find).report)

    def _newest(self, rule: Rule) -> Run:
        """The newest complete run that the rule can judge. Raises UsageError if there is none."""
        needs_plan = rule.gates == PLAN
        for known in self._candidates(rule.branch):
            assert known.path
            run = bundle.load_sealed(known.path)
            if not foreign.origin_of(run) and (not needs_plan or run.manifest.plan.get("gates")):
                return run
        what = "whose plan states gates" if needs_plan else "of our own"
        where = f" of branch '{rule.branch}'" if rule.branch else ""
        raise UsageError(f"no complete run{where} {what} in this home; `benchproof list runs` shows what there is")

    def _candidates(self, branch: str) -> Sequence[Known]:
        """The newest first. One in which everything failed is one: that is when somebody has to know."""
        fit = [run for run in self._index.runs() if run.path and run.state == "complete"]
        return [run for run in reversed(fit) if branch in {"", run.labels.get("branch")}][:_LOOKED_AT]

    def _find(self, judged: Run) -> gating.Find:
        def find(name: str) -> Run:
            but_not = judged.manifest.run_id
            return bundle.load_sealed(baselines.baseline(name, home=self._home, index=self._url, but_not=but_not))

        return find


def _named(found: Iterable[Finding]) -> Iterator[Finding]:
    """With the parameters where there are several cases of one metric."""
    cases: dict[Subject, list[Finding]] = {}
    for each in found:
        cases.setdefault(msgspec.structs.replace(each.subject, parameters=""), []).append(each)
    for some in cases.values():
        apart = told_apart(each.subject.parameters for each in some)
        for each in some:
            yield msgspec.structs.replace(each, name=each.subject.called(apart[each.subject.parameters]))


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _policy(rule: Rule) -> Policy | None:
    return rule.gates if isinstance(rule.gates, Policy) else None


def _directions(found: Report) -> dict[tuple[str, str], Better]:
    return {(row.benchmark, row.metric): row.better for row in found.rows if row.better is not None}


def _limit(better: Better, worse: float) -> str:
    """So much worse at most, as a ratio to the baseline."""
    return f"< {1 + worse:.6g}" if better == "lower" else f"> {1 - worse:.6g}"


def _of_gates(rule: Rule, found: Report) -> Iterator[Finding]:
    for each in found.gates:
        gate = each.gate
        metric = gate.metric or gate.key
        if each.verdict != "off" and rule.asks_for(benchmark=gate.benchmark, metric=metric, target=each.target):
            yield Finding(
                rule=rule.name,
                subject=Subject(gate.benchmark, metric, each.target, _parameters(each.parameters)),
                state=_state(each),
                text=f"{_line(each, found)} (run {found.run_id})",
            )


def _line(each: GateVerdict, found: Report) -> str:
    """A gate on a ratio to the reference of the same run says so; its words are those of every other report."""
    return verdicts.line(each, found) + (" in the same run" if each.gate.baseline == REFERENCE else "")


def _state(each: GateVerdict) -> State:
    match each.verdict:
        case "met":
            return "good"
        case "not met":
            return "bad"
        case "undecided" | "review" | "off":
            return "undecided"
    assert_never(each.verdict)


def _parameters(given: Mapping[str, Any]) -> str:
    return msgspec.json.encode(given, order="sorted").decode() if given else ""


# ---- levels ----


def _worsened(stretch: Stretch, worse: float, *, since: str, times: Mapping[str, str]) -> tuple[State, str]:
    """Whether the level of now is worse than the best one before by more than that, all of the interval."""
    if stretch.verdict == "undecided":
        return "undecided", stretch.reason
    changes = [change for change in stretch.changes if change.state == "confirmed"]
    if since:  # a level that had ended by then is what nobody wants back
        changes = [change for change in changes if times.get(change.after.run, "") >= since]
    if not changes:
        return "good", f"steady over {stretch.n} runs"
    sign = 1 if stretch.better == "lower" else -1
    levels = [changes[0].old_level, *(change.new_level for change in changes)]
    best = min(range(len(levels)), key=lambda number: sign * levels[number])
    if not levels[best]:
        return "undecided", "the best level is 0: nothing is a share of it"
    middle = sign * (levels[-1] - levels[best]) / abs(levels[best])
    # each error is of the difference of two neighbours, so that all on the way together are more than those of its ends
    reach = _Z95 * sum(change.error**2 for change in changes[best:]) ** 0.5 / abs(levels[best])
    low, high = middle - reach, middle + reach
    shown = [layout.amount(level, stretch.unit) for level in (levels[best], levels[-1])]
    newest = changes[-1]
    text = (
        f"{middle:+.1%} [{low:+.1%}, {high:+.1%}] worse than the best level ({shown[0]} -> {shown[1]}); "
        f"limit {worse:.1%}; on this level since run {newest.after.run}"
        + (f" ({newest.after.commit})" if newest.after.commit else "")
        + (f"; {stretch.unverified} of {stretch.n} runs were imported and not verified" if stretch.unverified else "")
    )
    return "bad" if low > worse else "good" if high < worse else "undecided", text
