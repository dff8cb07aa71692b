"""How long do a million results take into the index, and one series of them out, on SQLite and on PostgreSQL?

500 runs of 2,000 cases with one invocation each are written as real folders: 1,000,000 lines of results, each hashed
and chained, and as many points in the index. `rebuild` reads, checks and inserts all of them. The peer inserts the same
rows alone, in one transaction, by the bare driver: executemany of sqlite3, COPY of psycopg. PostgreSQL is a server of
its own with the settings that it comes with, in a temporary folder; where there is none, the row says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec
import psycopg
from sqlalchemy.engine import make_url

from benchmarks.rows import ROOT, Row, with_neighbours
from benchproof.envelope import fingerprint
from benchproof.model import Envelope, Measurement, Passed, Result
from benchproof.store import bundle
from benchproof.store.index import Index

sys.path.append(str(ROOT / "tests"))
from databases import new_database, postgresql, programs

RUNS, CASES = 500, 2000
_IMPORT_LIMIT_S, _QUERY_LIMIT_MS = 120.0, 50.0
_QUERIES = 30
T = TypeVar("T")
_START = datetime(2025, 1, 1, tzinfo=UTC)
_TABLE = "(series integer, run integer, value double precision, n integer, spread double precision, verified boolean"
GOAL = f"1,000,000 results in <= {_IMPORT_LIMIT_S:.0f} s, one series out in <= {_QUERY_LIMIT_MS:.0f} ms"


def study() -> Sequence[Row]:
    """A million results."""
    return _study(RUNS)


def quick_study() -> Sequence[Row]:
    """A tenth of them."""
    return _study(RUNS // 10)


def _study(runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        print(f"  writing {runs} runs of {CASES} results", file=sys.stderr, flush=True)
        for number in range(runs):
            write(home, number)
        rows = _measure(home, runs, "SQLite", None, _raw_sqlite(home / "raw.sqlite", runs))
        if programs() is None:
            return [*rows, Row(what="PostgreSQL", goal=GOAL, note="not here: apt-get install postgresql")]
        with postgresql(settings=()) as server:
            url = new_database(server, "study")
            return rows + _measure(home, runs, "PostgreSQL", url, _raw_postgresql(new_database(server, "raw"), runs))


def _measure(home: Path, runs: int, kind: str, url: str | None, raw_s: float) -> list[Row]:
    with Index(home, url) as index:
        before_s = time.process_time()
        (update, seconds), around = with_neighbours(lambda: _timed(index.rebuild))
        used_s = time.process_time() - before_s
        assert (update.added, update.problems) == (runs, ()), update
        queries = [_query_ms(index, number, runs) for number in range(_QUERIES)]
    results = runs * CASES
    note = f"{used_s:.0f} s of CPU time of ours" + ("; DISTURBED by other work" if around.disturbing else "")
    return [
        Row(
            what=f"{results:,} results from {runs} folders into {kind}",
            unit="s",
            measured=seconds,
            against="the same rows by the bare driver",
            peer=raw_s,
            ratio=seconds / raw_s,
            goal=f"<= {_IMPORT_LIMIT_S:.0f} s",
            met=seconds <= _IMPORT_LIMIT_S,
            note=note,
            disturbed=around.disturbing,
        ),
        Row(
            what=f"one series of {results:,} results out of {kind}",
            unit="ms",
            measured=statistics.median(queries),
            goal=f"<= {_QUERY_LIMIT_MS:.0f} ms",
            met=statistics.median(queries) <= _QUERY_LIMIT_MS,
            note=f"slowest of {len(queries)} {max(queries):.1f} ms, with runs, labels and environments",
            samples={"query": queries},
            disturbed=around.disturbing,
        ),
    ]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started_s = time.monotonic()
    answer = work()
    return answer, time.monotonic() - started_s


def _query_ms(index: Index, number: int, runs: int) -> float:
    found, seconds = _timed(lambda: index.series(what=f"case{number * 61 % CASES:04}.latency"))
    assert [len(each.points) for each in found] == [runs]
    return 1e3 * seconds


# ---- the same rows, by the bare driver ----


def _rows(runs: int) -> Iterator[tuple[int, int, float, int, None, bool]]:
    return ((case, run, 100.0 + run + case, 1, None, True) for run in range(runs) for case in range(CASES))


def _raw_sqlite(file: Path, runs: int) -> float:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"CREATE TABLE point {_TABLE}, primary key (series, run)) WITHOUT ROWID")

        def insert() -> None:
            with connection:
                connection.executemany("INSERT INTO point VALUES (?, ?, ?, ?, ?, ?)", _rows(runs))

        return _timed(insert)[1]


def _raw_postgresql(url: str, runs: int) -> float:
    with psycopg.connect(make_url(url).render_as_string()) as connection:
        connection.execute(f"CREATE TABLE point {_TABLE}, primary key (series, run))")
        connection.commit()

        def insert() -> None:
            with connection.cursor().copy("COPY point FROM STDIN") as copy:
                for row in _rows(runs):
                    copy.write_row(row)
            connection.commit()

        return _timed(insert)[1]


# ---- folders of runs, whole and sealed ----


def write(home: Path, number: int) -> None:
    """One run, as a runner leaves it, but without a wait for the disk after each line."""
    at = _START + timedelta(hours=number)
    run_id = f"{at:%Y%m%dT%H%M%SZ}-{number:06x}"
    envelope = Envelope(sections={"host": {"cpu": "A CPU"}, "system": {"kernel": f"6.{number}"}})
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof="0.1.0",
        created_at=at.isoformat(),
        state="running",
        plan={},
        seed=1,
        definitions=[],
        files={},
        labels={"commit": f"{number:040x}", "branch": "main"},
    )
    with contextlib.closing(bundle.Bundle.create(home / "runs" / run_id, manifest, {"linux": envelope}, {})) as out:
        with (out.path / bundle.RESULTS).open("wb") as file:
            file.writelines(_chained(run_id, at.isoformat(), fingerprint(envelope), number))
        out.seal(b"{}\n")


def _chained(run_id: str, at: str, envelope: str, number: int) -> Iterator[bytes]:
    chain = ""
    for case in range(CASES):
        body = msgspec.json.encode(_result(run_id, at, envelope, case, _value(number, case)))
        chain = hashlib.sha256(chain.encode() + body).hexdigest()
        yield body[:-1] + b',"chain":"' + chain.encode() + b'"}\n'


def _value(number: int, case: int) -> float:
    """A level with 1 % of noise: a ramp would change at every run, as no history does."""
    return 100.0 + case + (number * 7919 + case * 104729) % 1009 / 1009


def _result(run_id: str, at: str, envelope: str, case: int, value: float) -> Result:
    measurement = Measurement(
        metric=f"case{case:04}.latency", unit="ns", better="lower", clock="target", iterations=1, samples=(value,)
    )
    return Result(
        run_id=run_id,
        target="linux",
        benchmark=f"case{case:04}",
        parameters={"samples": 1},
        tier=1,
        block=0,
        started_at=at,
        duration_ns=1_000_000,
        envelope=envelope,
        attempt=1,
        outcome=Passed(measurements=(measurement,)),
    )
