"""hyperfine's JSON export: every time is a fresh process, so every time is an invocation.

A command that failed under `--ignore-failure` has a time like any other there; it is `failed` here. Without `-N`
hyperfine takes the time in which its shell starts off every time, down to 0: such a 0 is no measurement. The file says
neither whether a shell was used nor which version wrote it. Its mean user and system times are of all runs together
and stay text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Failed, Frozen, Invalid, Unverified

_BENCHMARK = "hyperfine.command"
_NOTES = (
    "hyperfine takes the start of its shell off every time unless it ran with -N; the file does not say which",
    "hyperfine runs one command after the other, not interleaved: a drift of the machine looks like a difference",
)


class _Result(Frozen, frozen=True):
    command: str
    mean: strict.Amount
    median: strict.Amount
    min: strict.Amount
    max: strict.Amount
    stddev: strict.Amount | None = None
    user: strict.Amount | None = None
    system: strict.Amount | None = None
    times: list[strict.Amount] | None = None
    exit_codes: list[int | None] | None = None
    memory_usage_byte: list[strict.Amount] | None = None
    parameters: dict[str, str | int | float] = msgspec.field(default_factory=dict)


class _Document(Frozen, frozen=True):
    results: list[_Result]


def sniff(glimpse: Glimpse) -> bool:
    """Whether there are commands with their mean."""
    document = glimpse.document
    results = document.get("results") if isinstance(document, dict) else None
    first = results[0] if isinstance(results, list) and results else None
    return isinstance(first, dict) and {"command", "mean", "median"} <= first.keys()


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; a command is a case, each of its times an invocation."""
    document = strict.typed(content, name, _Document)
    cases = shared.apart([_parameters(each) for each in document.results])
    results = [
        found
        for index, (each, case) in enumerate(zip(document.results, cases, strict=True))
        for found in _invocations(each, case, name, f"$.results[{index}]")
    ]
    return shared.only("hyperfine", results, notes=[*_NOTES, *_notes(document)])


def _parameters(result: _Result) -> dict[str, Any]:
    """Those of `--parameter-list`, which no name of a command hides."""
    given = {strict.plain(key): strict.plain(str(value)) for key, value in result.parameters.items()}
    return {"command": strict.plain(result.command)} | {
        f"parameter {key}" if key == "command" else key: value for key, value in given.items()
    }


def _invocations(result: _Result, case: dict[str, Any], name: str, where: str) -> Iterator[Found]:
    if result.times is None:
        yield shared.found(_BENCHMARK, case, Unverified("hyperfine", _statistics(result)))
        return
    for key, column in (("exit_codes", result.exit_codes), ("memory_usage_byte", result.memory_usage_byte)):
        if column is not None and len(column) != len(result.times):
            raise Unreadable(name, f"{where}.{key}", f"{len(column)} entries beside {len(result.times)} times")
    for block in range(len(result.times)):
        evidence = _together(result) if block == 0 else {}
        yield shared.found(_BENCHMARK, case, _outcome(result, block), evidence=evidence, block=block)


def _statistics(result: _Result) -> tuple[Any, ...]:
    words = ("mean", "stddev", "median", "min", "max")
    stated = {word: getattr(result, word) for word in words if getattr(result, word) is not None}
    scaled = {word: seconds * shared.NS_PER_S for word, seconds in stated.items()}
    return shared.published(f"{_BENCHMARK}.wall_time", "ns", scaled)


def _outcome(result: _Result, block: int) -> Unverified | Failed | Invalid:
    status = result.exit_codes[block] if result.exit_codes else 0
    if status is None:
        return Failed(violations=("ended by a signal",))
    if status:
        return Failed(violations=(f"exit status {status}",))
    assert result.times is not None
    if not (seconds := result.times[block]):
        return Invalid(reason="0 s: hyperfine took more off for its shell than the command took; measure with -N")
    measured = [shared.figure(f"{_BENCHMARK}.wall_time", "ns", [seconds * shared.NS_PER_S])]
    if result.memory_usage_byte and result.memory_usage_byte[block]:
        measured.append(shared.figure(f"{_BENCHMARK}.peak_memory", "bytes", [result.memory_usage_byte[block]]))
    return Unverified("hyperfine", tuple(measured))


def _together(result: _Result) -> dict[str, str]:
    stated = {"mean_user_s": result.user, "mean_system_s": result.system}
    return {key: f"{seconds:g}" for key, seconds in stated.items() if seconds is not None}


def _notes(document: _Document) -> Iterator[str]:
    if any(result.exit_codes is None for result in document.results):
        yield "the file does not say how the commands ended: a failure cannot be told from a success"
    if any(result.times is None for result in document.results):
        yield "a command without its times: only published statistics are there"


FORMAT = Format(sniff=sniff, read=read)
