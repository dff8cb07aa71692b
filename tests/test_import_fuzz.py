"""Hostile files: damage that knows what it damages, what the fuzzer found, huge ones, patterns that could explode."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import benchproof
import benchproof.importers
from benchproof.importers import FORMATS, Unreadable, read_as
from benchproof.store import bundle
from fuzz import harness
from fuzz.mutations import mutated

RECORDED = harness.recordings()
SMALL = {name: content for name, content in RECORDED.items() if len(content) < 32 << 10}
KEPT = sorted(harness.CORPUS.iterdir())
SIZE = 20_000


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_what_the_fuzzer_found_is_read_or_refused(path):
    harness.feed(path.read_bytes())


@pytest.mark.parametrize("name", RECORDED)
def test_every_recording_is_fit_for_the_fuzzer(name):
    harness.feed(RECORDED[name])


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_recordings_are_read_or_refused(name, seed):
    """A value of another type, a key that is gone, a line that is cut, comes twice or is of garbage."""
    target, _, body = SMALL[name].partition(b"\n")
    harness.feed(target + b"\n" + mutated(body, Random(seed)))


@pytest.mark.parametrize("target", harness.TARGETS)
@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=300))
def test_bytes_of_no_meaning_are_read_or_refused(target, content):
    harness.feed(target.encode() + b"\n" + content)


def test_the_harness_notices_a_reader_that_crashes(monkeypatch):
    def crash(content: bytes, name: str) -> None:
        raise IndexError

    broken = type("Broken", (), {"read": staticmethod(crash)})
    monkeypatch.setattr(type(FORMATS), "load", lambda table, name: broken)
    with pytest.raises(IndexError):
        harness.feed(b"fio\n{}")


@pytest.mark.parametrize("seed", range(20))
def test_the_same_seed_damages_in_the_same_way(seed):
    body = SMALL["fio/plus.json"]
    assert mutated(body, Random(seed)) == mutated(body, Random(seed))


# ---- huge files ----

LINES = {
    "wrk": "Running 1s test @ http://x/\n" + "     50%    3.40ms\n" * SIZE,
    "sysbench": "sysbench 1.0.20\nRunning the test with following options:\n"
    + "    ignored errors:  1      (1\n" * SIZE,
    "perf-stat": "1,,cycles,5,100.00,,\n" * SIZE,
    "kevlar": "BENCH_START x\n" + "BENCH a 1 1 1\n" * SIZE,
    "fio": "warning\n" * SIZE + "{",
    "sel4bench": "{}\n" * SIZE,
}
HUGE = {
    "hyperfine": {"results": [{"command": "x", "mean": 1, "median": 1, "min": 1, "max": 1, "times": [1] * SIZE}]},
    "pyperf": {"version": "1.0", "benchmarks": [{"runs": [{"values": [1.0]}] * SIZE}]},
    "pytest-benchmark": {
        "machine_info": {},
        "version": "5",
        "benchmarks": [
            {
                "fullname": "x",
                "stats": dict.fromkeys(("min", "max", "mean", "median", "iterations"), 1)
                | {"rounds": SIZE, "data": [1] * SIZE},
            }
        ],
    },
    "google-benchmark": {
        "context": {},
        "benchmarks": [{"name": "x", "run_type": "iteration", "iterations": 1, "real_time": 1}] * SIZE,
    },
    "criterion": {"iters": [1.0] * SIZE, "times": [1.0] * SIZE},
    "iperf3": {
        "start": {},
        "end": {"sum": {"seconds": SIZE, "bytes": 1, "bits_per_second": 8}},
        "intervals": [{"sum": {"seconds": 1, "bytes": 1, "bits_per_second": 8}}] * SIZE,
    },
    "computesdk": {
        "timestamp": "2026-01-01T00:00:00Z",
        "results": [{"provider": "x", "iterations": [{"ttiMs": 1}] * SIZE}],
    },
}


@pytest.mark.parametrize("form", LINES)
def test_twenty_thousand_lines_come_to_an_end(form):
    harness.feed(f"{form}\n{LINES[form]}".encode())


@pytest.mark.parametrize("form", HUGE)
def test_twenty_thousand_entries_are_all_read(form):
    (run,) = read_as(form, json.dumps(HUGE[form]).encode(), "x/new/f")
    counts = [len(m.samples) for found in run.results for m in found.outcome.measurements]
    assert SIZE in {len(counts), *counts}


@pytest.mark.parametrize("form", FORMATS.own)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" * SIZE,
        b"[" * SIZE,
        b'{"a":' * SIZE,
        b"9" * SIZE,
        b'"' * SIZE,
        b'{"results":[' + b'{"command":"x"},' * 1000,
        b" " * SIZE + b"x",
        b"\xff" * SIZE,
        b"\x00" * SIZE,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_nothing_of_a_kind_is_refused_in_one_line(form, content):
    with pytest.raises(Unreadable) as caught:
        read_as(form, content, "f")
    assert str(caught.value).startswith("f: ")
    assert str(caught.value).isprintable()


# ---- patterns ----


def patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    modules = [importlib.import_module(each.name) for each in pkgutil.walk_packages(benchproof.__path__, "benchproof.")]
    found = {}
    for module in modules:
        for name, value in vars(module).items():
            several = value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,)
            for number, each in enumerate(_flat(several)):
                found[f"{module.__name__}.{name}.{number}"] = each
    return found


def _flat(values: object) -> list[re.Pattern[str] | re.Pattern[bytes]]:
    if isinstance(values, re.Pattern):
        return [values]
    return (
        [each for value in values for each in _flat(value)]
        if isinstance(values, tuple | list | type({}.values()))
        else []
    )


PATTERNS = patterns()
READERS = {
    name: pattern
    for name, pattern in PATTERNS.items()
    if name.startswith(("benchproof.importers.", "benchproof.store.", "benchproof.foreign.", "benchproof.protocol."))
}
PIECES = (
    " ",
    "0",
    "a",
    ".",
    ",",
    "/",
    '"',
    "\\",
    "\n",
    "(",
    "{",
    "BENCH ",
    "0.",
    "a ",
    " 0",
    "0,",
    ",0,,",
    '\\"',
    "\x1b[",
)


def repeats(node: object, *, inside: bool = False) -> int:
    """Loops without end within loops without end that can give back what they took: the way to exponential time."""
    count = 0
    for operation, argument in node:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, most, body = argument
            endless = most > 1000
            count += (endless and inside) + repeats(body, inside=inside or endless)
        elif name == "POSSESSIVE_REPEAT":
            count += repeats(argument[2])
        elif name == "SUBPATTERN":
            count += repeats(argument[3], inside=inside)
        elif name == "BRANCH":
            count += sum(repeats(each, inside=inside) for each in argument[1])
        elif name in {"ASSERT", "ASSERT_NOT"}:
            count += repeats(argument[1], inside=inside)
        elif name == "ATOMIC_GROUP":
            count += repeats(argument)
    return count


def parsed(pattern: str) -> object:
    return importlib.import_module("re._parser").parse(pattern)


@pytest.mark.parametrize(
    ("pattern", "bad"), [("(a+)+b", True), ("(?:a*b?)*c", True), ("(a{1,9}b)*c", False), ("(?:a++)*b", False)]
)
def test_a_pattern_that_explodes_is_noticed(pattern, bad):
    assert bool(repeats(parsed(pattern))) == bad


@pytest.mark.parametrize("name", READERS)
def test_no_pattern_has_a_loop_within_a_loop(name):
    assert repeats(parsed(READERS[name].pattern)) == 0


@pytest.mark.parametrize("name", READERS)
def test_every_pattern_comes_to_an_end_on_long_lines(name):
    pattern = READERS[name]
    for piece in PIECES:
        for text in (piece * 1500, piece * 1500 + "\x07"):
            subject = text.encode() if isinstance(pattern.pattern, bytes) else text
            for attempt in (pattern.search, pattern.fullmatch):
                found = attempt(subject)
                assert found is None or len(found[0]) <= len(subject)


def test_patterns_were_found():
    assert len(READERS) > 30
    assert bundle._CHAIN in READERS.values()


# ---- the fuzzer itself ----

SCRIPT = Path(harness.__file__).with_name("run.py")


def run_fuzzer(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_inputs_can_be_looked_at_again(tmp_path):
    run = run_fuzzer(*map(str, KEPT), folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert [line.partition(": ")[0] for line in run.stderr.splitlines()] == [str(path) for path in KEPT]


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris: it has no wheel for this Python")
def test_the_fuzzer_finds_nothing_in_a_minute(tmp_path):
    run = run_fuzzer("--seconds", "60", folder=tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert list((tmp_path / ".fuzz").iterdir()) == []
    assert int(run.stderr.rpartition("stat::number_of_executed_units:")[2].split()[0]) > 500
