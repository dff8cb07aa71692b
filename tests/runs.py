"""Runs as a runner leaves them, made of figures that a test chose: an index and a trend read folders, not objects."""

from __future__ import annotations

import contextlib
import random
from datetime import UTC, datetime, timedelta

from benchproof.model import Envelope, Measurement, Passed, Result
from benchproof.store import bundle

START = datetime(2026, 1, 1, tzinfo=UTC)
SECTIONS = {
    "host": {"architecture": "x86_64", "kernel": "Linux 6.1.0 #1 SMP", "cpu": "A CPU"},
    "machine": {"execution": "native", "architecture": "x86_64"},
    "system": {"kind": "host", "kernel": "6.1.0"},
    "probe": {"compiler": "gcc 12", "source_sha256": "1234"},
    "authority": {"capabilities": "none"},
}


def envelope(**facts):
    """`section_fact="..."` for each fact that is not as usual."""
    sections = {name: dict(section) for name, section in SECTIONS.items()}
    for name, value in facts.items():
        section, _, fact = name.partition("_")
        sections[section][fact] = value
    return Envelope(sections=sections)


def passed(*values, metric="syscall.getpid.latency", unit="ns", better="lower", clock="target"):
    """One outcome for each value."""
    return [
        Passed(
            measurements=(
                Measurement(metric=metric, unit=unit, better=better, clock=clock, iterations=1, samples=(value,)),
            )
        )
        for value in values
    ]


def together(*outcomes):
    """Outcomes of several metrics, block by block, as those of one benchmark."""
    return [
        Passed(measurements=tuple(each for outcome in block for each in outcome.measurements))
        for block in zip(*outcomes, strict=True)
    ]


def write(
    home,
    number,
    outcomes,
    *,
    labels=None,
    described=None,
    target="linux",
    benchmark="syscall.getpid",
    parameters=None,
    complete=True,
    run_id="",
    version="0.1.0",
    plan=None,
):
    """The run of day `number`; returns its folder."""
    at = START + timedelta(days=number)
    run_id = run_id or f"{at:%Y%m%dT%H%M%SZ}-{number:06x}"
    path = home / "runs" / run_id
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof=version,
        created_at=at.isoformat(),
        state="running",
        plan=plan or {},
        seed=1,
        definitions=[],
        files={},
        labels={"commit": f"{number:040x}", "branch": "main"} if labels is None else labels,
    )
    seen = described or envelope()
    with contextlib.closing(bundle.Bundle.create(path, manifest, {target: seen}, {})) as out:
        key = bundle.load(path).target_envelopes[target]
        for block, outcome in enumerate(outcomes):
            out.append(
                Result(
                    run_id=run_id,
                    target=target,
                    benchmark=benchmark,
                    parameters=parameters or {},
                    tier=1,
                    block=block,
                    started_at=at.isoformat(),
                    duration_ns=1,
                    envelope=key,
                    attempt=1,
                    outcome=outcome,
                )
            )
        if complete:
            out.seal(b"{}\n")
    return path


def history(home, *levels, start=0, sd=0.01, seed="runs", **options):
    """(level, runs) pairs, one invocation a run; returns the folders."""
    draw = random.Random(seed)
    values = [level * (1 + sd * draw.gauss(0, 1)) for level, count in levels for _ in range(count)]
    return [write(home, number, passed(value), **options) for number, value in enumerate(values, start)]
