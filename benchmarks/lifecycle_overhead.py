"""What does the harness add to a command in a guest, and how long does `explain` take?

The peer writes the very frames of the wire to the very socket, in a bare loop that checks nothing, on the same guest.
What is more than that is ours: framing, checksums, deadlines, the random word and its record.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.guests import laboratory, linux
from benchmarks.rows import NoNumber, Row, in_turn, with_neighbours
from benchproof.benchmarks.lifecycle.witness import Witness
from benchproof.benchmarks.primitive.getpid import Getpid
from benchproof.explain import explain
from benchproof.targets.qemu import Qemu

_ROUNDS, _COMMANDS = 10, 50
_GOAL_MS, _EXPLAIN_GOAL_S = 1, 5
GOAL = f"<= {_GOAL_MS} ms a command, explain <= {_EXPLAIN_GOAL_S} s"
_TIMEOUT_S = 60.0
_OURS, _BARE = "lifecycle.exec", "a bare loop on the same socket"
_HEAD_BYTES, _CRC_BYTES = 9, 4


def study() -> Sequence[Row]:
    """Commands in one guest, in turn; then one explanation."""
    with laboratory() as lab:
        return [_exec_row(linux(lab)), _explain_row(linux(lab, exact=True))]


def _exec_row(target: Qemu) -> Row:
    with target.image().start() as instance:
        witness, connection = Witness(_TIMEOUT_S), instance._guest.wire._connection  # noqa: SLF001 - the same socket
        measures = {
            _OURS: lambda: _median_ms(lambda: witness.ask(instance)),
            _BARE: lambda: _median_ms(lambda: _bare(connection, instance.probe)),
        }
        for measure in measures.values():
            measure()
        turns = in_turn(measures, rounds=_ROUNDS)
    ours_ms, bare_ms = turns.medians(_OURS, _BARE)
    return Row(
        what=f"{_OURS}, a command in a guest",
        unit="ms",
        measured=ours_ms,
        against=_BARE,
        peer=bare_ms,
        ratio=ours_ms / bare_ms,
        goal=f"<= {_GOAL_MS} ms more",
        met=ours_ms - bare_ms <= _GOAL_MS,
        note=f"{turns.note()}; the harness adds {ours_ms - bare_ms:.3f} ms",
        samples=turns.samples,
        set_aside=turns.set_aside,
        disturbed=turns.disturbed,
    )


def _median_ms(command: Callable[[], object]) -> float:
    times_ms = []
    for _ in range(_COMMANDS):
        began_ns = time.monotonic_ns()
        command()
        times_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    return median(times_ms)


def _bare(connection: socket.socket, probe: str) -> None:
    """Input, its receipt, the command, what comes until its exit status: as wire.py does it."""
    connection.settimeout(None)  # else the kernel hands out less than all that is waited for
    connection.sendall(_frame(b"D", secrets.token_hex(8).encode()))
    _skip_to(connection, b"A")
    connection.sendall(_frame(b"R", probe.encode() + b"\0cat\0"))
    _skip_to(connection, b"X")


def _frame(kind: bytes, payload: bytes) -> bytes:
    body = kind + struct.pack("<I", len(payload)) + payload
    return b"BPw1" + body + struct.pack("<I", zlib.crc32(body))


def _skip_to(connection: socket.socket, wanted: bytes) -> None:
    kind = b""
    while kind != wanted:
        head = connection.recv(_HEAD_BYTES, socket.MSG_WAITALL)
        kind, size = head[4:5], int.from_bytes(head[5:], "little")
        if len(connection.recv(size + _CRC_BYTES, socket.MSG_WAITALL)) != size + _CRC_BYTES or kind == b"E":
            raise NoNumber("the guest did not answer a bare command")


def _explain_row(target: Qemu) -> Row:
    argv = [target.machine.probe, *Getpid().exact_arguments()]
    counter = target.counter()  # the snapshot is made before any clock starts
    (explain_s, count_s), around = with_neighbours(
        lambda: (
            _seconds(lambda: explain(Getpid(), {"linux": target}, timeout_s=_TIMEOUT_S)),
            _seconds(lambda: counter.run(argv, timeout_s=_TIMEOUT_S)),
        )
    )
    return Row(
        what="explain of syscall.getpid",
        unit="s",
        measured=explain_s,
        against="the same, only counted",
        peer=count_s,
        ratio=explain_s / count_s,
        goal=f"<= {_EXPLAIN_GOAL_S} s",
        met=explain_s <= _EXPLAIN_GOAL_S,
        disturbed=around.disturbing,
    )


def _seconds(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s
