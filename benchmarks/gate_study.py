"""Does the gate hold its errors on real timings: one command against itself, 5 % more work found, order randomised?

What is timed is the wall time of a fresh process, as of any command: the probe with some system calls and a fixed
number of injected instructions. A value is the median of five, and what one alone would have said stands beside it.
The slower command has 5 % more of these instructions, by the time of the whole: work that is really done, and suffers
what other work suffers. (It has to be work of the same kind: instructions added to system calls were 5 % of their time
when a neighbour was busy, and 3 % when it was not.) All three run in each round, in random order.

Beside it stands what most gates do: all runs of A, then all of B, from the same minutes. The same test on the same
number of the same timings, in another order, and nothing else.

Where other work wants the same CPUs, the wall time of a short process is that of its wait for one: with a load of 6 on
two CPUs one timing differs from the next by a third, and no number of pairs that anyone waits for shows 5 %. So the
study is made twice: with real-time priority (`chrt -f 1`; what is left is caches, interrupts, the hypervisor), and as
things are. The second is told whatever it says: a gate may find nothing there, but it must not invent anything.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.rows import NoNumber, Row, wall_ms, with_neighbours
from benchproof import laboratory
from benchproof.analysis import stats
from benchproof.analysis.calibrate import Rate, rate
from benchproof.analysis.compare import STANDARD, Comparison, Design, Side, paired, planned_looks
from benchproof.model import Completed, Frozen
from benchproof.probe import read

PAIRS = 30
RUNS = 5  # behind one value, which is their median, as that of an invocation is the median of its samples
EFFECT = 0.05
CALM = 0.05
_ARMS = ("a", "b", "slow", "first", "then")
PASS_BELOW = 1.05  # STATISTICS.md, delta2: high enough to let pass, low enough to matter
LOOKS = Design(margin=0.02, looks=planned_looks(PAIRS))
GOAL = f"A/A slower <= 1 %, +{EFFECT:.0%} caught >= 90 % within {PAIRS} pairs"
_OPERATION = "syscall.getpid"
_GOAL_MS = 3.5  # of the plain command
_PILOT = 100
_WINDOWS, _QUICK_WINDOWS = 150, 30
_CALLS = 100
_REST_S = 0.001
_TIMEOUT_S = 30.0


Times = tuple[tuple[float, ...], ...]  # in ms: by round, the runs of it


class Window(Frozen, frozen=True):
    """The timings behind one decision of each kind."""

    a: Times
    b: Times  # the same command
    slow: Times  # the same with 5 % more work
    first: Times  # the same command again, all of these ...
    then: Times  # ... before all of these


class Decided(Frozen, frozen=True, kw_only=True):
    """What came of one arm, over all windows."""

    arm: str
    slower: Rate
    faster: Rate
    passed: Rate  # the high end came below 5 % at a look before anything was called slower
    pairs: float  # at the deciding look, median
    ratio: float  # median of all pairs


class Taken(Frozen, frozen=True, kw_only=True):
    """What was measured in one condition."""

    command: str
    condition: str
    windows: tuple[Window, ...]
    disturbed: bool  # other work kept the CPUs busy, and nothing kept it from ours


def study(windows: int = _WINDOWS) -> Sequence[Row]:
    """The goals as rows, before the neighbours and among them; the raw timings are kept with them."""
    first = list(_rows(measure(windows, first=True)))
    return [*first, *_rows(measure(windows // 3, first=False))]


def _rows(taken: Taken) -> Iterator[Row]:
    decided = evaluate(taken.windows)
    print(f"{taken.condition}\n{table(decided)}")
    alone = evaluate(taken.windows, runs=1)
    print(f"{taken.condition}, one run a value\n{table(alone)}")
    samples = {name: [run for each in taken.windows for turn in getattr(each, name) for run in turn] for name in _ARMS}
    aa, slow, blocked = (decided[name] for name in ("A/A interleaved", "+5 % interleaved", "A/A blocked order"))
    yield Row(
        what=f"A/A called slower, {taken.condition}",
        unit="%",
        measured=aa.slower.events / aa.slower.of * 100,
        against="the same in blocked order",
        peer=blocked.slower.events / blocked.slower.of * 100,
        goal="<= 1 %",
        met=aa.slower.events <= 0.01 * aa.slower.of,
        note=f"{taken.command}; {len(taken.windows)} disjoint windows of {PAIRS} rounds; {_words(aa)}; "
        f"blocked: {_words(blocked)}, {_rate(blocked.faster)} faster; a plain 95 % interval calls equal commands "
        f"different in {_rate(naive(taken.windows))} of blocked and {_rate(naive(taken.windows, 'interleaved'))} of "
        "interleaved windows",
        samples=samples,
        disturbed=taken.disturbed,
    )
    calm = [each for each in taken.windows if spread(each) <= CALM]
    if calm:
        among = evaluate(calm)["+5 % interleaved"]
        yield Row(
            what=f"+{EFFECT:.0%} called slower in calm windows, {taken.condition}",
            unit="%",
            measured=among.slower.events / among.slower.of * 100,
            goal=f">= 90 % within {PAIRS} pairs",
            met=among.slower.events >= 0.9 * among.slower.of,
            note=f"those in which the plain command varies by no more than {CALM:.0%}: {_words(among)}",
        )
    yield Row(
        what=f"+{EFFECT:.0%} called slower, {taken.condition}",
        unit="%",
        measured=slow.slower.events / slow.slower.of * 100,
        goal=f">= 90 % within {PAIRS} pairs",
        met=slow.slower.events >= 0.9 * slow.slower.of,
        note=f"{_words(slow)}; really {slow.ratio - 1:+.1%}; with one run a value: {_words(alone['+5 % interleaved'])}",
        disturbed=taken.disturbed,
    )


def quick_study() -> Sequence[Row]:
    """Fewer windows."""
    return study(_QUICK_WINDOWS)


# ---- measuring ----


def measure(windows: int, *, first: bool) -> Taken:
    """So many windows, `first`: with real-time priority where that is allowed, so that neighbours wait for us."""
    probe = laboratory.prepare_probe(laboratory.cache_folder()).path
    with _priority(wanted=first) as has_priority:
        plain, slow = _commands(probe)
        shuffle = random.Random(windows).shuffle
        found, around = with_neighbours(lambda: [_window(plain, slow, shuffle) for _ in range(windows)])
    return Taken(
        command=f"{plain[-1]} and {slow[-1]} injected instructions a call in '{' '.join(plain[1:-2])}'; {around}",
        condition="real-time priority" if has_priority else "among its neighbours",
        windows=tuple(found),
        disturbed=around.disturbing and not has_priority,
    )


@contextlib.contextmanager
def _priority(*, wanted: bool) -> Iterator[bool]:
    """Of this process and of all that it starts; whether it was given."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    given = False
    if wanted:
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            given = True
    try:
        yield given
    finally:
        os.sched_setscheduler(0, *before)


def _window(plain: list[str], slow: list[str], shuffle: Callable[[list[str]], None]) -> Window:
    """Interleaved rounds, then the blocked ones: both saw the same machine."""
    commands = {"a": plain, "b": plain, "slow": slow}
    rounds = [[_turn(commands, shuffle) for _ in range(RUNS)] for _ in range(PAIRS)]
    first, then = (tuple(tuple(_rested_ms(plain) for _ in range(RUNS)) for _ in range(PAIRS)) for _ in range(2))
    a, b, slower = (tuple(tuple(turn[name] for turn in turns) for turns in rounds) for name in commands)
    return Window(a=a, b=b, slow=slower, first=first, then=then)


def _turn(commands: Mapping[str, list[str]], shuffle: Callable[[list[str]], None]) -> dict[str, float]:
    order = list(commands)
    shuffle(order)
    return {name: _rested_ms(commands[name]) for name in order}


def _commands(probe: Path) -> tuple[list[str], list[str]]:
    """The plain command, which takes 3 to 4 ms, and the one that takes 5 % more; both checked once."""

    def command(chain: int) -> list[str]:
        words = [str(probe), "bench", _OPERATION, "--samples", "1", "--warmups", "0", "--iterations", str(_CALLS)]
        return [*words, "--inject-instructions", str(chain)]

    short, long = 1_000, 100_000
    few, many = (min(column) for column in zip(*_pilot(command(short), command(long)), strict=True))
    per_instruction_ms = (many - few) / (long - short)
    if per_instruction_ms <= 0:
        raise NoNumber(f"expected instructions that take time, found {few:.3f} ms for few and {many:.3f} ms for many")
    chain = max(1, round(long + (_GOAL_MS - many) / per_instruction_ms))
    slower = round(chain + EFFECT * _GOAL_MS / per_instruction_ms)
    for asked in (chain, slower):
        _check(command(asked), chain=asked)
    return command(chain), command(slower)


def _rested_ms(command: list[str]) -> float:
    """The kernel stops real-time work that leaves others less than a twentieth of a second."""
    time.sleep(_REST_S)
    return wall_ms(command, timeout_s=_TIMEOUT_S)


def _pilot(*commands: list[str]) -> list[list[float]]:
    return [[_rested_ms(each) for each in commands] for _ in range(_PILOT)]


def _check(command: list[str], *, chain: int) -> None:
    started_ns = time.monotonic_ns()
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    ended = Completed(done.returncode, done.stdout, done.stderr, time.monotonic_ns() - started_ns)
    evidence = read(ended, _OPERATION).evidence
    if evidence["failures"] != "0" or evidence.get("injected_instructions") != str(chain):
        raise NoNumber(f"expected {chain} injected instructions and no failure, found {evidence}")


# ---- deciding ----


def evaluate(windows: Iterable[Window], *, runs: int = RUNS) -> dict[str, Decided]:
    """Every arm, decided by the gate's own procedure; a value is the median of so many runs."""
    windows = list(windows)
    arms = {
        "A/A interleaved": [_sides(each.a, each.b, runs) for each in windows],
        "+5 % interleaved": [_sides(each.a, each.slow, runs) for each in windows],
        "A/A blocked order": [_sides(each.first, each.then, runs) for each in windows],
    }
    return {name: _decided(name, sides) for name, sides in arms.items()}


def _sides(base: Times, new: Times, runs: int) -> Side:
    a, b = ({number: median(turn[:runs]) for number, turn in enumerate(each)} for each in (base, new))
    return Side(base=a, new=b, better="lower")


def _decided(name: str, sides: Sequence[Side]) -> Decided:
    found = [paired(side, LOOKS) for side in sides]
    return Decided(
        arm=name,
        slower=rate(sum(each.verdict == "slower" for each in found), len(found)),
        faster=rate(sum(each.verdict == "faster" for each in found), len(found)),
        passed=rate(sum(_passes(each) for each in found), len(found)),
        pairs=median(each.looks[-1].blocks for each in found),
        ratio=median(after / before for side in sides for before, after in side.pairs(PAIRS)),
    )


def _passes(found: Comparison) -> bool:
    for look in found.looks:
        if look.verdict == "slower":
            return False
        if look.high is not None and look.high < PASS_BELOW:
            return True
    return False


def spread(window: Window) -> float:
    """How much the plain command varied, as a robust coefficient of variation; the slower one has no part in it."""
    values = [median(turn) for turn in window.a]
    return 1.4826 * stats.mad(values) / median(values)


def naive(windows: Iterable[Window], arm: str = "blocked") -> Rate:
    """How often a plain 95 % interval, no margin and one look, calls equal commands different."""
    pairs = [(each.first, each.then) if arm == "blocked" else (each.a, each.b) for each in windows]
    plain = msgspec.structs.replace(STANDARD, margin=0.0)
    sides = [_sides(base, new, RUNS) for base, new in pairs]
    return rate(sum(paired(side, plain).verdict in {"faster", "slower"} for side in sides), len(sides))


def table(decided: Mapping[str, Decided]) -> str:
    """The arms, a line each."""
    lines = [f"{'':20}{'slower':>22}{'faster':>22}{'passed':>22}{'pairs':>7}{'ratio':>8}"]
    for each in decided.values():
        rates = "".join(f"{_rate(found):>22}" for found in (each.slower, each.faster, each.passed))
        lines.append(f"{each.arm:20}{rates}{each.pairs:>7.0f}{each.ratio:>8.3f}")
    return "\n".join(lines)


def _words(decided: Decided) -> str:
    return f"slower {_rate(decided.slower)}, passed {_rate(decided.passed)}, {decided.pairs:.0f} pairs"


def _rate(found: Rate) -> str:
    return f"{found.events}/{found.of} [{found.low:.1%}, {found.high:.1%}]"
