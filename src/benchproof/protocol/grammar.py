r"""How a system writes its results on the console: our own protocol, or a dialect that a plan describes.

A plan's table has a pattern for each kind of line, which must match the whole line, and says by named groups what
stands where: `total = 'BENCH (?P<name>\S+) (?P<operations>[0-9]+) (?P<elapsed>[0-9]+)'`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from benchproof.errors import UsageError
from benchproof.model import Frozen
from benchproof.plugins import nearest
from benchproof.protocol import clocks
from benchproof.protocol.patterns import compiled

TimeUnit = Literal["ns", "us", "ms", "s", "ticks", "cycles"]
_TIMED = ("name", "operations", "elapsed", "each")
RULES: dict[str, tuple[str, ...]] = {  # kind of line -> the groups that its pattern may have
    "begin": ("token", "system", "build", "hz", "count"),
    "end": ("token", "count"),
    "bench": ("name", "unit", "clock", "mechanism"),
    "start": ("name",),
    "failed": ("name", "reason"),
    "unsupported": ("name", "reason"),
    "evidence": ("name", "key", "value"),
    "warmup": _TIMED,
    "sample": _TIMED,
    "total": _TIMED,
    "ignore": (),
}
_MUST = {
    "bench": ("name",),
    "start": ("name",),
    "unsupported": ("name",),
    "evidence": ("key", "value"),
}
_FIGURES = ("warmup", "sample", "total")
_NAMED = ("failed", "evidence", *_FIGURES)  # their lines name the benchmark, or it is the one under way
_NAME = re.compile(r"[!-~]{1,100}")


class Grammar(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dialect. Patterns that are empty stand for lines that it does not have."""

    dialect: str = "dialect"  # what its figures are said to come from where no evidence comes with them
    mark: str = (
        ""  # what is in every line of the dialect and in no other: a line that has it and makes no sense is damage
    )
    begin: str = ""
    end: str = ""
    bench: str = ""
    start: str = ""
    warmup: str = ""
    sample: str = ""
    total: str = ""
    evidence: str = ""
    unsupported: str = ""
    failed: str = ""
    ignore: str = ""  # lines of the dialect that say nothing of interest
    unit: TimeUnit = "ns"
    hz: int = 0  # ticks a second, where no line says so
    clock: str = "its own"
    names: dict[str, str] = msgspec.field(default_factory=dict)  # a benchmark of ours -> what this system calls it
    mechanism: dict[str, str] = msgspec.field(default_factory=dict)  # a benchmark of ours -> what is really timed

    @property
    def is_own(self) -> bool:
        """Whether it is the protocol itself."""
        return not self.dialect

    def rules(self) -> dict[str, re.Pattern[str]]:
        """The patterns that there are, in the order in which a line is tried."""
        return {kind: compiled(pattern) for kind in RULES if (pattern := getattr(self, kind))}


OWN = Grammar(dialect="")
KEVLAR = Grammar(
    dialect="kevlar",
    mark="BENCH",
    begin=r"BENCH_START\b.{0,100}",
    end=r"BENCH_END",
    total=r"BENCH (?P<name>[^ ]{1,100}) (?P<operations>[0-9]{1,12}) (?P<elapsed>[0-9]{1,18}) (?P<each>[0-9]{1,18})",
    unsupported=r"BENCH_SKIP (?P<name>[^ ]{1,100})(?: \((?P<reason>.{0,200})\))?",
    ignore=r"BENCH_(?:MODE|EXTRA) .{0,200}",
    names={
        "syscall.getpid": "getpid",
        "syscall.read_null": "read_null",
        "syscall.write_null": "write_null",
        "syscall.stat": "stat",
        "syscall.open_close": "open_close",
        "ipc.pipe": "pipe",
        "ipc.pipe_pingpong": "pipe_pingpong",
        "process.fork_exit": "fork_exit",
        "memory.mmap_fault": "mmap_fault",
    },
)
READY = {"benchproof": OWN, "kevlar": KEVLAR}


def of(value: object) -> Grammar:
    """The grammar that a plan names or states as a table. Raises UsageError."""
    if isinstance(value, str):
        if value not in READY:
            raise UsageError(f"grammar: unknown grammar '{value}'; {nearest(value, list(READY))}")
        return READY[value]
    if not isinstance(value, dict):
        raise UsageError(f"grammar: expected {' or '.join(map(repr, READY))} or a table of patterns, found {value!r}")
    for problem in _problems(value):
        raise UsageError(f"grammar: {problem}")
    try:
        found = msgspec.convert(value, Grammar)
    except msgspec.ValidationError as error:
        raise UsageError(f"grammar: {error}") from error
    _check(found)
    return found


def _problems(table: dict[Any, Any]) -> list[str]:
    known = list(Grammar.__struct_fields__)
    return [f"unknown key '{key}'; {nearest(str(key), known)}" for key in table if key not in known]


def _check(grammar: Grammar) -> None:
    """Raises UsageError where the patterns cannot say what is needed of them."""
    if not grammar.dialect or grammar.dialect in READY:
        raise UsageError(f"grammar: dialect: expected a name of its own, found '{grammar.dialect}'")
    if not (grammar.sample or grammar.total):
        raise UsageError("grammar: expected a pattern 'sample' or 'total': without one no line is a result")
    for kind in RULES:
        if pattern := getattr(grammar, kind):
            _check_groups(grammar, kind, _compiled(kind, pattern))
    if grammar.unit == "ticks" and not (grammar.hz > 0 or "(?P<hz>" in grammar.begin):
        raise UsageError("grammar: unit: ticks need hz, as a key or as a group of 'begin'")
    if grammar.hz and (problem := clocks.wrong_hz(grammar.hz)):
        raise UsageError(f"grammar: {problem}")
    try:
        refuse_bad_names(grammar.names)
    except UsageError as error:
        raise UsageError(f"grammar: {error}") from error


def refuse_bad_names(names: Mapping[str, str]) -> None:
    """Raises UsageError for one that no system can print, or that would be several words on a command line."""
    for ours, theirs in names.items():
        if not _NAME.fullmatch(theirs):
            raise UsageError(f"names: '{ours}': expected a name as the system prints it, found '{theirs}'")


def _compiled(kind: str, pattern: str) -> re.Pattern[str]:
    try:
        return compiled(pattern)
    except UsageError as error:
        raise UsageError(f"grammar: {kind}: {error}") from error


def _check_groups(grammar: Grammar, kind: str, pattern: re.Pattern[str]) -> None:
    for group in pattern.groupindex:
        if group not in RULES[kind]:
            raise UsageError(f"grammar: {kind}: unknown group '{group}'; {nearest(group, list(RULES[kind]))}")
    for group in _MUST.get(kind, ()):
        if group not in pattern.groupindex:
            raise UsageError(f"grammar: {kind}: expected a group (?P<{group}>...), found none")
    if kind in _NAMED and "name" not in pattern.groupindex and not grammar.start:
        raise UsageError(f"grammar: {kind}: expected a group (?P<name>...), or a pattern 'start' that has it")
    if kind in _FIGURES and not {"elapsed", "each"} & set(pattern.groupindex):
        raise UsageError(f"grammar: {kind}: expected a group (?P<elapsed>...) or (?P<each>...), found neither")
