"""How long does a reader of the dashboard wait for a page, where the store has a million results?

500 runs of 2,000 cases with one invocation each, as in `index_study`, are indexed; then `benchproof serve` is started
as a user starts it, and asked over HTTP, on SQLite and on PostgreSQL. The first answer of a fresh server is a row of
its own: nothing is warm then. Beside each page stands what the same server takes to say `ok` after asking its index.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.index_study import CASES, RUNS, write
from benchmarks.rows import ROOT, NoNumber, Row, with_neighbours
from benchproof.store.index import Index

sys.path.append(str(ROOT / "tests"))
from databases import new_database, postgresql, programs

_LIMIT_MS = 500.0
_ASKED = 10
_PATIENCE_S = 60
GOAL = f"the first page of 1,000,000 results in <= {_LIMIT_MS:.0f} ms"
_PAGES = {
    "runs": "/",
    "runs of a benchmark and a target": "/?benchmark=case0100&target=linux",
    "runs, searched, page 2": "/?q=00000&page=2",
    "trends, 25 judged": "/trends",
    "one trend": "/trend?target=linux&benchmark=case0100&metric=case0100.latency",
    "coverage": "/coverage",
    "gates": "/gates",
}


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
        rows = _measure(home, runs, "SQLite", None)
        if programs() is None:
            return [*rows, Row(what="PostgreSQL", goal=GOAL, note="not here: apt-get install postgresql")]
        with postgresql(settings=()) as server:
            return rows + _measure(home, runs, "PostgreSQL", new_database(server, "study"))


def _measure(home: Path, runs: int, kind: str, url: str | None) -> list[Row]:
    print(f"  indexing into {kind}", file=sys.stderr, flush=True)
    with Index(home, url) as index:
        index.update()
    rows = []
    with _serving(home, url) as port:
        first_ms = _ask_ms(port, "/")
        healthy_ms = statistics.median(_ask_ms(port, "/healthz") for _ in range(_ASKED))
        rows.append(_row(f"{kind}: runs, the first answer of a fresh server", [first_ms], healthy_ms, runs))
        for what, path in _PAGES.items():
            samples, around = with_neighbours(lambda path=path: [_ask_ms(port, path) for _ in range(_ASKED)])
            rows.append(_row(f"{kind}: {what}", samples, healthy_ms, runs, disturbed=around.disturbing))
    return rows


def _row(what: str, samples: Sequence[float], healthy_ms: float, runs: int, *, disturbed: bool = False) -> Row:
    middle = statistics.median(samples)
    return Row(
        what=what,
        unit="ms",
        measured=middle,
        against="the same server saying ok",
        peer=healthy_ms,
        ratio=middle / healthy_ms,
        goal=f"<= {_LIMIT_MS:.0f} ms",
        met=max(samples) <= _LIMIT_MS,
        note=f"slowest of {len(samples)} {max(samples):.0f} ms; {runs * CASES:,} results",
        samples={"answer": samples},
        disturbed=disturbed,
    )


@contextlib.contextmanager
def _serving(home: Path, url: str | None) -> Iterator[int]:
    """The port of a server of its own, ended afterwards."""
    ready = home / "ready.json"
    command = [sys.executable, "-m", "benchproof", "serve", "--home", str(home), "--listen", "127.0.0.1:0"]
    command += ["--ready-file", str(ready), *(["--index", url] if url else [])]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until_s = time.monotonic() + _PATIENCE_S
            while not ready.exists():
                if server.poll() is not None or time.monotonic() > until_s:
                    raise NoNumber("the server did not begin to serve")
                time.sleep(0.05)
            yield int(urlsplit(json.loads(ready.read_text())["url"]).port or 0)
        finally:
            server.terminate()


def _ask_ms(port: int, path: str) -> float:
    """From the request to the last byte of the answer, on a connection of its own. Raises NoNumber."""
    started_s = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
    elapsed_ms = 1e3 * (time.monotonic() - started_s)
    if answer.status != http.HTTPStatus.OK or not content:
        raise NoNumber(f"{path}: expected 200, found {answer.status}")
    return elapsed_ms
