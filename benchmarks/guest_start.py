"""How soon does a guest from a snapshot answer and work, against a cold boot of the same guest?

Answered: the guest has echoed a nonce of the host. Worked: a program was executed in it and gave back a random word.
Each figure is of a start of its own, so none pays for what another looks at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from benchmarks.guests import laboratory, linux, verified_command
from benchmarks.rows import Row, Turns, in_turn
from benchproof.guest.machine import launched
from benchproof.model import Instance
from benchproof.targets.qemu import Qemu

_ROUNDS = 10
_GOAL_MS, _GOAL_RATIO = 45, 30
GOAL = f"<= {_GOAL_MS} ms, >= {_GOAL_RATIO}x"
_ANSWER, _COMMAND = "first answer", "first command"
_QMP = "QMP answers"


def study() -> Sequence[Row]:
    """Snapshot and cold in turn, once each unmeasured."""
    with laboratory() as lab:
        target = linux(lab)
        measures = {_QMP: lambda: _until_qmp_ms(target)}
        for name, start in (("snapshot", target.start), ("cold", target.cold)):
            measures[f"{name}: {_ANSWER}"] = _timed(start, lambda _instance: None)
            measures[f"{name}: {_COMMAND}"] = _timed(start, verified_command)
        for measure in measures.values():
            measure()
            lab.logs.clear()
        turns = in_turn(measures, rounds=_ROUNDS)
    return [_row(_ANSWER, turns, _share(turns)), _row(_COMMAND, turns)]


def _timed(
    start: Callable[[], AbstractContextManager[Instance]], until: Callable[[Instance], None]
) -> Callable[[], float]:
    def measure() -> float:
        requested_ns = time.monotonic_ns()
        with start() as instance:
            until(instance)
            return (time.monotonic_ns() - requested_ns) / 1e6

    return measure


def _until_qmp_ms(target: Qemu) -> float:
    """The same QEMU, that waits for its state: what no way to restore can save."""
    ram = str(target.counter().snapshot.ram)
    requested_ns = time.monotonic_ns()
    with launched(target.machine, supervisor=target.lab.probe, log=target.lab.log, ram=ram, restored=True) as guest:
        guest.monitor.execute("query-status")
        return (time.monotonic_ns() - requested_ns) / 1e6


def _share(turns: Turns) -> str:
    qmp_ms, start_ms = turns.medians(_QMP, f"snapshot: {_ANSWER}")
    return f"QEMU's own start, until QMP answers, takes {qmp_ms:.1f} ms, {qmp_ms / start_ms:.0%} of it"


def _row(what: str, turns: Turns, more: str = "") -> Row:
    names = f"snapshot: {what}", f"cold: {what}"
    ours_ms, cold_ms = turns.medians(*names)
    ratio = cold_ms / ours_ms
    fastest = f"fastest of {len(turns.samples[names[0]])} {min(turns.samples[names[0]]):.1f} ms"
    return Row(
        what=f"guest from a snapshot: {what}",
        unit="ms",
        measured=ours_ms,
        against=f"cold boot: {what}",
        peer=cold_ms,
        ratio=ratio,
        goal=GOAL,
        met=ours_ms <= _GOAL_MS and ratio >= _GOAL_RATIO,
        note="; ".join(filter(None, [turns.note(), fastest, more])),
        samples=turns.samples,
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )
