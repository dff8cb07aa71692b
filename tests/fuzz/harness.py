"""What is fed with hostile input, by the fuzzer (`make fuzz`) and by the test suite: whatever reads a stranger's bytes.

An input is the name of a target, a line break, and the bytes for it. Two ends are allowed: it is read, and what was
read can be stored and is finite, or it is refused in one line. All else is an exception that nobody catches here.
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from benchproof import foreign
from benchproof.errors import InvocationError, StoreError, UsageError
from benchproof.importers import FORMATS, Imported, Unreadable, read_as
from benchproof.importing import recognised
from benchproof.model import Reported, Result, Unverified
from benchproof.protocol import grammar
from benchproof.protocol.faults import find
from benchproof.protocol.transcript import Ended, Heard, described, is_over, read
from benchproof.store import bundle
from transcripts import GOOD, TOKEN

DATA = Path(__file__).parent.parent / "data"
CORPUS = Path(__file__).parent / "corpus"
_PARTS = (bundle.MANIFEST, bundle.ENVELOPE, bundle.RESULTS, bundle.WARMUPS)
_BETWEEN = b"\n=====\n"  # the files of a run in one input


def feed(content: bytes) -> None:
    """One input of the fuzzer; those of no target are for all that recognise a file."""
    name, _, body = content.partition(b"\n")
    target = TARGETS.get(name.decode(errors="replace"))
    if target is None:
        recognise(content)
    else:
        target(body)


def read_file(form: str, content: bytes) -> None:
    try:
        runs = read_as(form, content, "file")
    except Unreadable as error:
        _refused(error)
    else:
        for run in runs:
            _can_be_kept(run)


def recognise(content: bytes) -> None:
    try:
        recognised(content, "file")
    except Unreadable as error:
        _refused(error)


def read_lines(content: bytes) -> None:
    path = _folder() / bundle.RESULTS
    path.write_bytes(content)
    try:
        for result, fits in bundle.read_lines(path):
            assert isinstance(result, Result)
            assert isinstance(fits, bool)
    except StoreError as error:
        _told(error)


def load(content: bytes) -> None:
    parts = content.split(_BETWEEN)
    for name, part in zip(_PARTS, parts, strict=False):
        (_folder() / name).write_bytes(part)
    for name in _PARTS[len(parts) :]:
        (_folder() / name).unlink(missing_ok=True)
    try:
        bundle.load(_folder())
    except StoreError as error:
        _told(error)


def read_transcript(content: bytes) -> None:
    """A console in our own protocol, with made-up arrivals: no exception but those of an invocation."""
    heard = Heard(content, tuple((offset, 10**9 + offset * 10**6) for offset in range(0, len(content), 100)))
    for ended in (Ended("trailer"), Ended("power-off", 0), Ended("time-out", at_ns=10**12)):
        try:
            _sensible(read(heard, "syscall.getpid", ended=ended, token=TOKEN))
            assert all(described(heard, ended=ended).values())
        except InvocationError as error:
            assert str(error).isprintable()
    assert all(each.text in content.decode("ascii", "backslashreplace") for each in find(content))


def read_dialect(content: bytes) -> None:
    """A line with the table of a grammar as JSON, or the name of one, and the console behind it."""
    head, _, console = content.partition(b"\n")
    try:
        found = grammar.of(msgspec.json.decode(head))
        is_over(console, found)
        _sensible(read(Heard(console), "syscall.getpid", ended=Ended("power-off", 0), grammar=found))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    except (InvocationError, UsageError) as error:
        assert str(error).isprintable()


def _sensible(found: Reported) -> None:
    assert found.iterations >= 1
    assert found.samples
    assert all(math.isfinite(sample) and sample > 0 for sample in found.samples)
    assert msgspec.json.encode(found)


def _can_be_kept(run: Imported) -> None:
    stored = msgspec.json.encode(foreign.results_of(run, "run", "2026-01-01T00:00:00Z"))
    for each in msgspec.json.decode(stored, type=tuple[Result, ...]):
        assert (each.target + each.benchmark).isprintable()
        if isinstance(each.outcome, Unverified):
            assert each.outcome.measurements
            for figure in each.outcome.measurements:
                assert figure.metric.isprintable()
                assert all(math.isfinite(sample) for sample in figure.samples)
    assert all(note.isprintable() for note in run.notes)
    assert msgspec.json.encode([run.facts, run.labels, run.notes])


def _refused(error: Unreadable) -> None:
    assert str(error).startswith("file: ")
    assert str(error).isprintable()
    assert len(str(error)) < 1000


def _told(error: StoreError) -> None:
    assert str(error)


@functools.cache
def _folder() -> Path:
    memory = Path("/dev/shm")
    kept = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    _folder.__dict__["kept"] = kept  # removed when the process ends
    return Path(kept.name)


TARGETS: Mapping[str, Callable[[bytes], None]] = {form: functools.partial(read_file, form) for form in FORMATS.own} | {
    "results": read_lines,
    "bundle": load,
    "recognise": recognise,
    "transcript": read_transcript,
    "grammar": read_dialect,
}


def recordings() -> dict[str, bytes]:
    """Every recorded file, and runs of ours, as inputs; by a name."""
    files = {path: path.read_bytes() for path in sorted(DATA.rglob("*")) if path.is_file() and path.name != "README.md"}
    found = {
        str(path.relative_to(DATA)): f"{form}\n".encode() + content
        for path, content in files.items()
        if (form := path.relative_to(DATA).parts[0]) in FORMATS.own
    }
    lines = _run_of_ours()
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id="run",
        benchproof="0",
        created_at="2026-01-01T00:00:00Z",
        state="running",
        plan={},
        seed=0,
        definitions=[],
        files={},
    )
    envelope = b'{"envelopes":{"sha256:0":{"sections":{"host":{"cpu":"x"}}}},"targets":{"unnamed":"sha256:0"}}'
    whole = [bundle.encoded(manifest), envelope, lines, lines]
    dialect = {
        "total": grammar.KEVLAR.total,
        "end": "BENCH_END",
        "mark": "BENCH",
        "names": {"syscall.getpid": "getpid"},
    }
    console = files[DATA / "kevlar" / "linux-on-hvf-baseline.txt"]
    found |= {
        "transcript": b"transcript\n" + GOOD,
        "grammar": b"grammar\n" + msgspec.json.encode(dialect) + b"\n" + console,
    }
    return found | {"results": b"results\n" + lines, "bundle": b"bundle\n" + _BETWEEN.join(whole)}


def _run_of_ours() -> bytes:
    content = (DATA / "google-benchmark" / "whole.json").read_bytes()
    (run,) = read_as("google-benchmark", content, "file")
    chain = "0" * 64
    bodies = [msgspec.json.encode(each) for each in foreign.results_of(run, "run", "2026-01-01T00:00:00Z")]
    return b"".join(body[:-1] + f',"chain":"{chain}"}}\n'.encode() for body in bodies)
