"""Does the load generator keep up with wrk, and do both see the same latency?

Both ask the same kind of nginx (one worker, a body of 1 KiB, on the loopback) over as many connections from one thread,
each a fresh nginx of its own, in turns. wrk counts what it was sent; ours compares every byte of every body with the
right one and asks nginx what it was asked. wrk is given so many seconds, ours as many requests as fit into them.

*The statistic.* wrk 4.1 adds values that it never measured: for each latency of twice the mean or more, those that
requests would have had that were due in the mean time (`stats_correct` in its stats.c). On a machine where some
requests are slow, that moves its median by tens of percent. It prints no other, so the same is done to our raw
latencies here, and here alone: who wants what an even stream of requests would have met asks with a rate.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from statistics import median

from benchmarks.peers import run
from benchmarks.rows import NoNumber, Row, Turns, agreement, in_turn
from benchproof import laboratory
from benchproof.benchmarks.guest import origins
from benchproof.benchmarks.guest.http_requests import Requests
from benchproof.model import Lab
from benchproof.quantities import Size
from benchproof.targets.host import Host

_ROUNDS = 7
_QUICK_ROUNDS = 3
_BODY_BYTES = 1024
_CONNECTIONS = (16, 1)
_SECONDS = 2
_REQUESTS = {16: 70_000, 1: 25_000}  # as many as fit into about as many seconds
_LEAST_RATE = 0.9
_TOLERANCE = 0.05
_TIMEOUT_S = 60.0
GOAL = f"requests/s >= {_LEAST_RATE} of wrk, median latency within {_TOLERANCE:.0%}"
_SCRIPT = """
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("%d %d %d %f\\n", summary.requests, summary.duration,
             e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50)))
end
"""


def study() -> Sequence[Row]:
    """Rate and median latency, over many connections and over one."""
    return _study(_ROUNDS)


def quick_study() -> Sequence[Row]:
    """The same in fewer rounds."""
    return _study(_QUICK_ROUNDS)


def _study(rounds: int) -> Sequence[Row]:
    for program in ("wrk", "nginx"):
        if not shutil.which(program):
            raise NoNumber(f"{program} is not installed: apt-get install wrk nginx-light")
    with laboratory.opened(laboratory.prepare_probe(laboratory.cache_folder())) as lab:
        return [row for connections in _CONNECTIONS for row in _rows(lab, connections, rounds)]


def _rows(lab: Lab, connections: int, rounds: int) -> list[Row]:
    where = f"{connections} connection{'s' if connections > 1 else ''}"
    rates = (f"http.requests, rate over {where}", "wrk")
    turns = in_turn(
        {rates[0]: lambda: _ours(lab, connections)[0], rates[1]: lambda: _theirs(lab, connections)[0]}, rounds=rounds
    )
    latencies = (f"http.requests, median latency over {where}", "wrk")
    again = in_turn(
        {latencies[0]: lambda: _ours(lab, connections)[1], latencies[1]: lambda: _theirs(lab, connections)[1]},
        rounds=rounds,
    )
    return [
        _rate_row(rates, turns),
        agreement(ours=latencies[0], peer=latencies[1], unit="us", tolerance=_TOLERANCE, turns=again),
    ]


def _rate_row(names: tuple[str, str], turns: Turns) -> Row:
    measured, peer = turns.medians(*names)
    pairs = [mine / other for mine, other in zip(*(turns.samples[name] for name in names), strict=True)]
    return Row(
        what=names[0],
        unit="requests/s",
        measured=measured,
        against=names[1],
        peer=peer,
        ratio=measured / peer,
        goal=f">= {_LEAST_RATE}",
        met=measured / peer >= _LEAST_RATE,
        note=f"{turns.note()}; single pairs {min(pairs):.2f} to {max(pairs):.2f}",
        samples=turns.samples,
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )


def _ours(lab: Lab, connections: int) -> tuple[float, float]:
    """Requests/s, and the median latency in us. Raises NoNumber where the oracle disagrees."""
    benchmark = Requests(requests=_REQUESTS[connections], connections=connections, size=Size(_BODY_BYTES))
    observation = benchmark.run(Host(Host.Settings(), lab))
    if violations := list(benchmark.verify(observation)):
        raise NoNumber(violations[0])
    found = {each.metric.rpartition(".")[2]: each.samples for each in observation.measurements}
    interval_us = connections / found["throughput"][0] * 1e6
    return found["throughput"][0], median(as_wrk_corrects([each / 1000 for each in found["latency"]], interval_us))


def as_wrk_corrects(latencies: Sequence[float], interval: float) -> list[float]:
    """With the values that wrk adds: below each of two intervals or more, one an interval, down to the interval."""
    added = [
        latency - interval * steps
        for latency in latencies
        if latency >= 2 * interval
        for steps in range(1, math.ceil(latency / interval) - 1)
    ]
    return [*latencies, *added]


def _theirs(lab: Lab, connections: int) -> tuple[float, float]:
    script = lab.scratch / "done.lua"
    script.write_text(_SCRIPT)
    options = ["--threads", "1", "--connections", str(connections), "--duration", f"{_SECONDS}s", "--script", script]
    with origins.nginx(lab, size_bytes=_BODY_BYTES) as origin:
        said = run(["wrk", *options, origin.url], timeout_s=_TIMEOUT_S)
    requests, duration_us, errors, latency_us = map(float, said.splitlines()[-1].split())
    if errors:
        raise NoNumber(f"wrk counted {errors:.0f} errors")
    return requests / (duration_us / 1e6), latency_us
