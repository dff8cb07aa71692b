"""Consoles of Kevlar's `bench.c`: `BENCH name iterations total_ns ns_each` between `BENCH_START` and `BENCH_END`.

A total over N iterations is one sample, computed anew: the printed quotient is cut to a whole number (0 for `gettid`).
The program ignores what its system calls return, so a call that fails fast looks fast; what is too fast for any call is
marked. A console carries more than results: what was reported before a kernel fault stands, what came after it is
`failed`, a line that is cut or that contradicts itself is `invalid`, and a transcript without its end says so in a
result of its own, `kevlar.suite`, so that half of a suite is never taken for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, strict
from benchproof.model import Failed, Frozen, Invalid, Measurement, Unsupported, Unverified
from benchproof.protocol.faults import kind_of
from benchproof.protocol.grammar import KEVLAR

_COLOUR = re.compile(rb"\x1b\[[0-9;]{0,16}m")
_BENCH = re.compile(KEVLAR.total, re.ASCII)
_EXTRA = re.compile(r"BENCH_EXTRA ([^ ]{1,100}) ([0-9]{1,15}(?:\.[0-9]{1,9})?)", re.ASCII)
_SKIP = re.compile(KEVLAR.unsupported, re.ASCII)
_HEADER = re.compile(r"# ([^ ]{1,100}) baseline \(([^)]{1,40})\)")
_FACT = re.compile(r"# (kernel|initramfs): (.{1,500})")
_CORE = ("getpid", "read_null", "write_null", "pipe", "fork_exit", "open_close", "mmap_fault", "stat")
_LEAST_NS = 10.0  # no processor enters and leaves a kernel in less
_SHOWN = 20  # faults and damaged lines; what comes after them is more of the same
_EXTRA_UNITS = {"pipe_throughput_MBps": 2**20}  # bench.c divides by 1024 * 1024 and calls it MB


class _Line(Frozen, frozen=True):
    number: int
    text: str
    whole: bool = True  # False: the transcript ends in the middle of it, as far as one can tell


class _Section(Frozen, frozen=True):
    """What one start of the program printed."""

    block: int
    lines: tuple[_Line, ...]

    @property
    def started(self) -> bool:
        return any(line.text.startswith("BENCH_START") for line in self.lines)

    @property
    def last(self) -> str:
        """The last thing that the program said."""
        return [line.text for line in self.lines if _is_ours(line.text)][-1]

    @property
    def ended(self) -> bool:
        return self.last == "BENCH_END"


def sniff(glimpse: Glimpse) -> bool:
    """Whether a transcript has a line of the program."""
    return re.search(r"^BENCH(_START| [^ ]+ \d+ \d+ \d+)", glimpse.head, re.MULTILINE) is not None


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """One run; each further `BENCH_START` in it is one more invocation."""
    lines = list(_lines(content, name))
    if not any(_is_ours(line.text) for line in lines):
        raise Unreadable(name, "", "no BENCH line; expected the console of Kevlar's bench program")
    sections = _sections(lines)
    target, created_at = _header(lines, name)
    results = [found for section in sections for found in _results(section, target)]
    return (
        Imported(
            tool="kevlar",
            version="",
            created_at=created_at,
            results=tuple(results),
            facts=_facts(lines),
            labels={},
            notes=tuple(_notes(lines, results, target)),
        ),
    )


def _lines(content: bytes, name: str) -> Iterator[_Line]:
    texts = [text.strip(" ") for text in strict.console(_COLOUR.sub(b"", content), name)]
    for number, text in enumerate(texts, start=1):
        yield _Line(number, text, whole=number < len(texts) or text in {"", "BENCH_END"})


def _is_ours(text: str) -> bool:
    return text.startswith(("BENCH ", "BENCH_"))


def _header(lines: list[_Line], name: str) -> tuple[str, str]:
    """The system by its name, and the time. `BENCH_START kevlar` is printed on every system and names neither."""
    for line in lines:
        if match := _HEADER.fullmatch(line.text):
            return match[1], strict.instant(match[2], name, f"line {line.number}")
    return "unnamed", ""


def _facts(lines: list[_Line]) -> dict[str, dict[str, str]]:
    stated = [match for line in lines if (match := _FACT.fullmatch(line.text))]
    facts = {"system": {match[1]: match[2] for match in stated}} if stated else {}
    mode = {"mode": "quick"} if any(line.text == "BENCH_MODE quick" for line in lines) else {}
    return facts | ({"probe": mode} if mode else {})


def _notes(lines: list[_Line], results: list[Found], target: str) -> Iterator[str]:
    yield "bench.c does not look at what its system calls return: a call that fails fast looks fast"
    if target == "unnamed":
        yield "the transcript does not say which system it is of ('BENCH_START kevlar' names the suite): use --target"
    if any(line.text == "BENCH_MODE quick" for line in lines):
        yield "quick mode: few iterations, meant for emulation; good for comparing profiles, not for absolute claims"
    for found in results:
        if doubt := found.evidence.get("implausible"):
            yield f"{found.benchmark}: {doubt}"
    for line in lines:
        match = _EXTRA.fullmatch(line.text)
        if match and match[1] not in _EXTRA_UNITS:
            yield f"line {line.number}: BENCH_EXTRA {match[1]} has no unit that is known, and was left out"


def _sections(lines: list[_Line]) -> list[_Section]:
    """One for each start of the program; what precedes the first is one too if it holds results."""
    starts = [index for index, line in enumerate(lines) if line.text.startswith("BENCH_START")]
    if not starts or any(_is_ours(line.text) for line in lines[: starts[0]]):
        starts.insert(0, 0)
    ends = [*starts[1:], len(lines)]
    return [
        _Section(block, tuple(lines[start:end])) for block, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _results(section: _Section, target: str) -> Iterator[Found]:
    """Every benchmark that is named, and the suite where it is not whole."""
    faults: list[str] = []
    broken = ""  # by what a kernel said, for everything that comes after it
    doubtful = ""  # by what a process did, for the next report
    damaged: list[str] = []
    found: dict[str, list[Found]] = {}
    for line in section.lines:
        at = f"line {line.number}"
        if not line.whole and "BENCH" in line.text:
            damaged.append(f"{at}: the transcript ends in the middle of it: {line.text[:120]}")
        elif not line.text.startswith("BENCH") and "BENCH " in line.text:
            damaged.append(f"{at}: a report that other output ran into: {line.text[:120]}")
        elif not _is_ours(line.text):
            if kind := kind_of(line.text):
                faults.append(f"{at}: {line.text[:200]}")
                if kind in {"panic", "fault", "warning"}:
                    broken = broken or faults[-1]
                doubtful = faults[-1]
        elif each := _reported(line, section.block, target, broken or doubtful):
            found.setdefault(each.benchmark, []).append(each)
            doubtful = "" if line.text.startswith("BENCH ") else doubtful
        elif not line.text.startswith(("BENCH_START", "BENCH_END", "BENCH_MODE", "BENCH_EXTRA")):
            damaged.append(f"{at}: a report that is no whole one: {line.text[:120]}")
    yield from (_only(each) for each in found.values())
    yield from _suite(section, target, faults, damaged, {each.removeprefix("kevlar.") for each in found})


def _reported(line: _Line, block: int, target: str, fault: str) -> Found | None:
    """`fault`: what went wrong before this report; empty if nothing."""
    if match := _BENCH.fullmatch(line.text):
        return _timed(match, line, block, target, fault)
    if match := _SKIP.fullmatch(line.text):
        reason = match[2] or "bench.c skipped it: what it needs could not be opened or made"
        return _found(match[1], target, block, Unsupported(reason=reason), {"line": str(line.number)})
    if (match := _EXTRA.fullmatch(line.text)) and match[1] in _EXTRA_UNITS:
        metric = Measurement(
            metric="kevlar.pipe_throughput.throughput",
            unit="bytes/s",
            better="higher",
            clock="target",
            iterations=1,
            samples=(float(match[2]) * _EXTRA_UNITS[match[1]],),
        )
        outcome = Failed(violations=(_after(fault),)) if fault else Unverified("kevlar", (metric,))
        return _found("pipe_throughput", target, block, outcome, {"line": str(line.number)})
    return None


def _timed(match: re.Match[str], line: _Line, block: int, target: str, fault: str) -> Found:
    name, iterations, total_ns, printed_ns = match[1], int(match[2]), int(match[3]), int(match[4])
    evidence = {"line": str(line.number), "total_ns": str(total_ns), "printed_ns_each": str(printed_ns)}
    if not iterations or total_ns // iterations != printed_ns:
        reason = f"{total_ns} ns / {iterations} is not {printed_ns} ns: the line contradicts itself, it is damaged"
        return _found(name, target, block, Invalid(reason=reason), evidence)
    if fault:
        return _found(name, target, block, Failed(violations=(_after(fault),)), evidence)
    if not total_ns:
        return _found(name, target, block, Invalid(reason="0 ns in all: the clock did not move"), evidence)
    each_ns = total_ns / iterations
    if each_ns < _LEAST_NS:
        evidence["implausible"] = f"{each_ns:.4g} ns each: no system call happened, the C library answered by itself"
    measured = Measurement(
        metric=f"kevlar.{name}.latency",
        unit="ns",
        better="lower",
        clock="target",
        iterations=iterations,
        samples=(each_ns,),
    )
    return _found(name, target, block, Unverified("kevlar", (measured,)), evidence)


def _found(
    name: str,
    target: str,
    block: int,
    outcome: Unverified | Failed | Unsupported | Invalid,
    evidence: dict[str, str],
) -> Found:
    return Found(
        target=target, benchmark=f"kevlar.{name}", parameters={}, outcome=outcome, evidence=evidence, block=block
    )


def _after(fault: str) -> str:
    return f"reported after the system had failed ({fault})"


def _only(reports: list[Found]) -> Found:
    """The one report of a benchmark: of two, nobody knows which one counts."""
    first, *more = reports
    if not more:
        return first
    places = [each.evidence["line"] for each in reports]
    lines = " and ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    skipped = [each.outcome.reason for each in reports if isinstance(each.outcome, Unsupported)]
    outcome: Failed | Invalid = Invalid(reason=f"reported {len(reports)} times, in lines {lines}")
    if skipped and len(skipped) < len(reports):  # the number is that of the part that worked
        outcome = Failed(violations=(f"only a part of it worked: {skipped[0]}",))
    return Found(
        target=first.target,
        benchmark=first.benchmark,
        parameters={},
        outcome=outcome,
        evidence={"lines": lines},
        block=first.block,
    )


def _suite(section: _Section, target: str, faults: list[str], damaged: list[str], seen: set[str]) -> Iterator[Found]:
    """What is missing or wrong about the whole; nothing where it is whole."""
    problems = damaged[:_SHOWN]
    if not section.started:
        problems.append("no BENCH_START: the beginning of the transcript is missing")
    if not section.ended:
        problems.append(f"no BENCH_END after '{section.last[:100]}': what would have come then is missing")
    if faults:
        yield _found("suite", target, section.block, Failed(violations=(*faults[:_SHOWN], *problems)), {})
    elif problems:
        yield _found("suite", target, section.block, Invalid(reason="; ".join(problems)[:900]), {})
    if not section.ended and seen & set(_CORE):
        for name in _CORE:
            if name not in seen:
                reason = "it belongs to the suite, and the transcript ends before it is reported"
                yield _found(name, target, section.block, Invalid(reason=reason), {})


FORMAT = Format(sniff=sniff, read=read)
