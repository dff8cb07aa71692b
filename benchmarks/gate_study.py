"""Does the gate hold its errors on real timings: one command against itself, 5 % more work found, order randomised?

A value is the wall time of one fresh process, as in any command that people time: the probe with a fixed number of
system calls. The slower command is the same with instructions injected, so many that the whole takes 5 % longer by a
pilot: work that is really done, and suffers what other work suffers. All three run in each round, in random order.

Beside it stands what most gates do: all runs of A, then all of B, from the same minutes. The same test on the same
number of the same timings, in another order, and nothing else.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.rows import NoNumber, Row, wall_ms, with_neighbours
from benchproof import runner
from benchproof.analysis.calibrate import Rate, rate
from benchproof.analysis.compare import STANDARD, Comparison, Design, Side, paired, planned_looks
from benchproof.model import Completed, Frozen
from benchproof.probe import read

PAIRS = 30
EFFECT = 0.05
PASS_BELOW = 1.05  # STATISTICS.md, delta2: high enough to let pass, low enough to matter
LOOKS = Design(margin=0.02, looks=planned_looks(PAIRS))
GOAL = f"A/A slower <= 1 %, +{EFFECT:.0%} caught >= 90 % within {PAIRS} pairs"
_OPERATION = "syscall.getpid"
_GOAL_MS = 5.0  # of the plain command
_PILOT = 60
_WINDOWS, _QUICK_WINDOWS = 200, 40
_TIMEOUT_S = 30.0


class Window(Frozen, frozen=True):
    """The timings, in ms, behind one decision of each kind; the n-th of each list are those of round n."""

    a: tuple[float, ...]
    b: tuple[float, ...]  # the same command
    slow: tuple[float, ...]  # the same with 5 % more work
    first: tuple[float, ...]  # the same command again, all of these ...
    then: tuple[float, ...]  # ... before all of these


class Decided(Frozen, frozen=True, kw_only=True):
    """What came of one arm, over all windows."""

    arm: str
    slower: Rate
    faster: Rate
    passed: Rate  # the high end came below 5 % at a look before anything was called slower
    pairs: float  # at the deciding look, median
    ratio: float  # median of all pairs


def study(windows: int = _WINDOWS) -> Sequence[Row]:
    """The goals as rows; the raw timings are kept with them."""
    (found, command), around = with_neighbours(lambda: _measure(windows))
    decided = evaluate(found)
    print(table(decided))
    disturbed = around.disturbing
    note = f"{command}; {windows} windows of {PAIRS} rounds, disjoint; {around}"
    samples = {name: [value for each in found for value in getattr(each, name)] for name in Window.__struct_fields__}
    aa, slow, blocked = (decided[name] for name in ("A/A interleaved", "+5 % interleaved", "A/A blocked order"))
    return [
        Row(
            what="A/A called slower, interleaved",
            unit="%",
            measured=aa.slower.events / aa.slower.of * 100,
            against="the same in blocked order",
            peer=blocked.slower.events / blocked.slower.of * 100,
            goal="<= 1 %",
            met=aa.slower.events <= 0.01 * aa.slower.of,
            note=f"{note}; {_words(aa)}; blocked: {_words(blocked)}",
            samples=samples,
            disturbed=disturbed,
        ),
        Row(
            what=f"+{EFFECT:.0%} called slower within {PAIRS} pairs",
            unit="%",
            measured=slow.slower.events / slow.slower.of * 100,
            goal=">= 90 %",
            met=slow.slower.events >= 0.9 * slow.slower.of,
            note=f"{_words(slow)}; really {slow.ratio - 1:+.1%}",
            disturbed=disturbed,
        ),
    ]


def quick_study() -> Sequence[Row]:
    """Fewer windows."""
    return study(_QUICK_WINDOWS)


# ---- measuring ----


def _measure(windows: int) -> tuple[list[Window], str]:
    """Interleaved and blocked windows in turn, so that both saw the same machine."""
    probe = runner.prepare_probe(runner.cache_folder()).path
    plain, slow = _commands(probe)
    shuffle = random.Random(windows).shuffle
    found = []
    for _ in range(windows):
        rounds = [_round({"a": plain, "b": plain, "slow": slow}, shuffle) for _ in range(PAIRS)]
        first, then = (tuple(wall_ms(plain, timeout_s=_TIMEOUT_S) for _ in range(PAIRS)) for _ in range(2))
        interleaved = [tuple(each[name] for each in rounds) for name in ("a", "b", "slow")]
        found.append(Window(*interleaved, first=first, then=then))
    return found, f"'{' '.join(slow[1:])}' against the same without the injection"


def _round(commands: Mapping[str, list[str]], shuffle: Callable[[list[str]], None]) -> dict[str, float]:
    order = list(commands)
    shuffle(order)
    return {name: wall_ms(commands[name], timeout_s=_TIMEOUT_S) for name in order}


def _commands(probe: Path) -> tuple[list[str], list[str]]:
    """The plain command, which takes about 5 ms, and the one that takes 5 % more; both checked once."""

    def command(calls: int, chain: int) -> list[str]:
        words = [str(probe), "bench", _OPERATION, "--samples", "1", "--warmups", "0", "--iterations", str(calls)]
        return words + (["--inject-instructions", str(chain)] if chain else [])

    calls, chain = 10_000, 1000
    few, many, chained = _least([command(1, 0), command(calls, 0), command(calls, chain)])
    calls = max(1, round(calls * (_GOAL_MS - few) / (many - few)))
    per_instruction_ms = (chained - many) / (10_000 * chain)
    plain_ms = few + calls * (many - few) / 10_000
    extra = round(plain_ms * EFFECT / per_instruction_ms / calls)
    if extra < 1:
        raise NoNumber(f"expected instructions that take time, found {per_instruction_ms * 1e6:.4f} ns for one")
    for asked in (0, extra):
        _check(command(calls, asked), extra=asked)
    return command(calls, 0), command(calls, extra)


def _least(commands: Sequence[list[str]]) -> list[float]:
    """What each takes where nothing is in the way: the size of the work, not of the noise."""
    taken = [[wall_ms(each, timeout_s=_TIMEOUT_S) for each in commands] for _ in range(_PILOT)]
    return [min(column) for column in zip(*taken, strict=True)]


def _check(command: list[str], *, extra: int) -> None:
    started_ns = time.monotonic_ns()
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    ended = Completed(done.returncode, done.stdout, done.stderr, time.monotonic_ns() - started_ns)
    evidence = read(ended, _OPERATION).evidence
    if evidence["failures"] != "0" or evidence.get("injected_instructions", "0") != str(extra):
        raise NoNumber(f"expected {extra} injected instructions and no failure, found {evidence}")


# ---- deciding ----


def evaluate(windows: Iterable[Window]) -> dict[str, Decided]:
    """Every arm, decided by the gate's own procedure."""
    windows = list(windows)
    arms = {
        "A/A interleaved": [(each.a, each.b) for each in windows],
        "+5 % interleaved": [(each.a, each.slow) for each in windows],
        "A/A blocked order": [(each.first, each.then) for each in windows],
    }
    return {name: _decided(name, pairs) for name, pairs in arms.items()}


def _decided(name: str, pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Decided:
    sides = [Side(base=dict(enumerate(a)), new=dict(enumerate(b)), better="lower") for a, b in pairs]
    found = [paired(side, LOOKS) for side in sides]
    return Decided(
        arm=name,
        slower=rate(sum(each.verdict == "slower" for each in found), len(found)),
        faster=rate(sum(each.verdict == "faster" for each in found), len(found)),
        passed=rate(sum(_passes(each) for each in found), len(found)),
        pairs=median(each.looks[-1].blocks for each in found),
        ratio=median(after / before for a, b in pairs for before, after in zip(a, b, strict=True)),
    )


def _passes(found: Comparison) -> bool:
    for look in found.looks:
        if look.verdict == "slower":
            return False
        if look.high is not None and look.high < PASS_BELOW:
            return True
    return False


def naive(windows: Iterable[Window], arm: str = "blocked") -> Rate:
    """How often a plain 95 % interval, no margin and one look, calls equal commands different."""
    pairs = [(each.first, each.then) if arm == "blocked" else (each.a, each.b) for each in windows]
    plain = msgspec.structs.replace(STANDARD, margin=0.0)
    sides = [Side(base=dict(enumerate(a)), new=dict(enumerate(b)), better="lower") for a, b in pairs]
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
