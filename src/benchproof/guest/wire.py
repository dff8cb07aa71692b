"""The host's end of the wire to a guest's agent (`agent.c`): framed, checksummed, bounded in size and time.

A frame is `BPw1`, a type, the length of the payload (32 bits, little endian), the payload, and the CRC-32 of type,
length and payload. The host asks: `D` data for the next request, `P` put that data into a file, `G` get a file, `R`
run a command with that data as input, `N` a nonce for fresh random numbers. The guest says: `I` init begins, `H`
hello, `A` done, `N` proof of freshness, `1` and `2` output, `X` exit status, `E` an error in words. The serial port has
no flow control: data goes out in small frames, each answered before the next.

Beside a command that runs, another thread may have a short one run: `d` and `r`, answered by `a`, `3`, `4`, `x` and
`e`. One of those who wait reads for both.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence

from benchproof.errors import Flooded, TargetFailed, TimedOut
from benchproof.model import Completed, Frozen

_MAGIC = b"BPw1"
_HEAD = struct.Struct("<4scI")
_CRC = struct.Struct("<I")
_NONCE_BYTES = 32
_LONGEST_WAIT_S = 86_400.0  # a guest that is silent for a day is dead, whatever the plan says
_FRAME_LIMIT_BYTES = 64 << 10
_DATA_FRAME_BYTES = 2 << 10  # less than a tty buffers while its reader sleeps
_BESIDE_FRAME_BYTES = 1 << 10  # one of these may come on top
_KEPT_FRAMES = 1024  # for one who waits
_BESIDE = {b"a": b"A", b"3": b"1", b"4": b"2", b"x": b"X", b"e": b"E"}  # as its usual counterpart
_OUTPUT_LIMIT_BYTES = 33 << 20  # both streams; the agent itself stops at 16 MiB each


class Refused(TargetFailed):
    """The guest's agent did not do what was asked, and is ready for what comes next."""


class _TooMuch(Refused, Flooded):
    """It ended a command that printed too much."""


class Freshness(Frozen, frozen=True):
    """What no two clones share (`random`), and what all clones of one boot do (`boot_id`)."""

    random: str
    boot_id: str


class Wire:
    """A connection to an agent. Every method raises TargetFailed if the guest lies, falls silent or goes away.

    Only `run_beside` may be called while another method is under way.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending, self._one_beside = threading.Lock(), threading.Lock()
        self._arrived, self._is_read = threading.Condition(), False
        self._frames: deque[tuple[bytes, bytes]] = deque()  # that came while the other waited
        self._is_beside, self._beside_lost = False, ""
        self._frames_beside: deque[tuple[bytes, bytes]] = deque()

    def await_hello(self, *, timeout_s: float) -> int:
        """Wait until the agent serves; returns when it began as the first process, on the monotonic clock in ns."""
        deadline_s = time.monotonic() + timeout_s
        kind, payload = self._receive(deadline_s)
        began_ns = time.monotonic_ns()
        if kind == b"I":
            kind, payload = self._receive(deadline_s)
        if kind != b"H" or payload != b"benchproof-agent 1":
            raise TargetFailed(f"the guest's agent said {kind!r} {payload[:40]!r} where its hello was expected")
        return began_ns

    def freshen(self, *, timeout_s: float) -> Freshness:
        """Reseed the guest's random numbers from a nonce of ours, and see that it is this guest that answers."""
        nonce = os.urandom(_NONCE_BYTES)
        deadline_s = time.monotonic() + timeout_s
        self._send(b"N", nonce, deadline_s)
        kind, payload = self._receive(deadline_s)
        if kind != b"N" or not payload.startswith(nonce):
            raise _refusal(kind, payload)
        random, boot_id = payload[_NONCE_BYTES : 2 * _NONCE_BYTES], payload[2 * _NONCE_BYTES :]
        return Freshness(random=random.hex(), boot_id=boot_id.decode(errors="replace"))

    def put(self, path: str, content: bytes, *, timeout_s: float) -> None:
        """Write a file in the guest, executable."""
        deadline_s = time.monotonic() + timeout_s
        self._stage(content, deadline_s)
        self._send(b"P", path.encode(), deadline_s)
        self._expect_done(deadline_s)

    def get(self, path: str, *, timeout_s: float) -> bytes:
        """The content of a file in the guest."""
        deadline_s = time.monotonic() + timeout_s
        self._send(b"G", path.encode(), deadline_s)
        content = bytearray()
        while True:
            kind, payload = self._receive(deadline_s)
            if kind == b"A":
                return bytes(content)
            if kind != b"1":
                raise _refusal(kind, payload)
            content += payload
            if len(content) > _OUTPUT_LIMIT_BYTES:
                raise TargetFailed(f"the guest sent more than {_OUTPUT_LIMIT_BYTES >> 20} MiB of a file")

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Run a command in the guest to its end."""
        deadline_s = time.monotonic() + timeout_s
        self._stage(stdin, deadline_s)
        started_ns = time.monotonic_ns()
        self._send(b"R", b"".join(word.encode() + b"\0" for word in argv), deadline_s)
        return self._completed(started_ns, deadline_s)

    def run_beside(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Run a short command also while another runs, which must not wait for the wire meanwhile."""
        with self._one_beside:
            if self._beside_lost:
                raise TargetFailed(f"nothing can be run beside a command any more: {self._beside_lost}")
            self._is_beside = True
            try:
                return self._beside(argv, stdin, time.monotonic() + timeout_s)
            except Refused:
                raise
            except TargetFailed as error:  # what came next would be the answer to this
                self._beside_lost = str(error)
                raise
            finally:
                self._is_beside = bool(self._beside_lost)

    def _beside(self, argv: Sequence[str], stdin: bytes, deadline_s: float) -> Completed:
        for start in range(0, len(stdin), _BESIDE_FRAME_BYTES):
            self._send(b"d", stdin[start : start + _BESIDE_FRAME_BYTES], deadline_s)
            self._expect_done(deadline_s, beside=True)
        started_ns = time.monotonic_ns()
        self._send(b"r", b"".join(word.encode() + b"\0" for word in argv), deadline_s)
        return self._completed(started_ns, deadline_s, beside=True)

    def await_completed(self, *, timeout_s: float) -> Completed:
        """The end of a command that the guest found by itself."""
        return self._completed(time.monotonic_ns(), time.monotonic() + timeout_s)

    def _completed(self, started_ns: int, deadline_s: float, *, beside: bool = False) -> Completed:
        outputs = {b"1": bytearray(), b"2": bytearray()}
        while True:
            kind, payload = self._receive(deadline_s, beside=beside)
            if kind in outputs:
                outputs[kind] += payload
                if sum(map(len, outputs.values())) > _OUTPUT_LIMIT_BYTES:
                    raise Flooded(f"the guest sent more than {_OUTPUT_LIMIT_BYTES >> 20} MiB of output")
            elif kind == b"X" and len(payload) == 4:
                elapsed_ns = time.monotonic_ns() - started_ns
                status = int.from_bytes(payload, "little", signed=True)
                return Completed(
                    exit_status=status,
                    stdout=bytes(outputs[b"1"]),
                    stderr=bytes(outputs[b"2"]),
                    elapsed_ns=elapsed_ns,
                )
            else:
                raise _refusal(kind, payload)

    def _stage(self, content: bytes, deadline_s: float) -> None:
        for start in range(0, len(content), _DATA_FRAME_BYTES):
            self._send(b"D", content[start : start + _DATA_FRAME_BYTES], deadline_s)
            self._expect_done(deadline_s)

    def _expect_done(self, deadline_s: float, *, beside: bool = False) -> None:
        kind, payload = self._receive(deadline_s, beside=beside)
        if kind != b"A":
            raise _refusal(kind, payload)

    def _send(self, kind: bytes, payload: bytes, deadline_s: float) -> None:
        head = _HEAD.pack(_MAGIC, kind, len(payload))
        frame = head + payload + _CRC.pack(zlib.crc32(payload, zlib.crc32(head[len(_MAGIC) :])))
        try:
            with self._sending:
                self._connection.settimeout(_left(deadline_s))
                self._connection.sendall(frame)
        except TimeoutError as error:
            raise TimedOut("the guest does not take what is sent to it") from error
        except OSError as error:
            raise TargetFailed("the guest is gone") from error

    def _receive(self, deadline_s: float, *, beside: bool = False) -> tuple[bytes, bytes]:
        """The next frame for the one who asks. One of those who wait reads, and keeps for the other what is his."""
        mine = self._frames_beside if beside else self._frames
        while True:
            left_s = min(_LONGEST_WAIT_S, deadline_s - time.monotonic())
            with self._arrived:
                self._arrived.wait_for(lambda: mine or not self._is_read, left_s)
                if mine:
                    return mine.popleft()
                if self._is_read:
                    raise TimedOut("the guest fell silent: no answer in time")
                self._is_read = True
            try:
                self._sort(*self._frame(deadline_s))
            finally:
                with self._arrived:
                    self._is_read = False
                    self._arrived.notify_all()

    def _sort(self, kind: bytes, payload: bytes) -> None:
        """Raises TargetFailed for what nobody waits for."""
        whose = self._frames_beside if kind in _BESIDE else self._frames
        if len(whose) >= _KEPT_FRAMES or (kind in _BESIDE and not self._is_beside):
            raise TargetFailed(f"the guest answered {kind!r} out of turn")
        whose.append((_BESIDE.get(kind, kind), payload))

    def _frame(self, deadline_s: float) -> tuple[bytes, bytes]:
        head = self._read(_HEAD.size, deadline_s)
        magic, kind, size = _HEAD.unpack(head)
        if magic != _MAGIC or size > _FRAME_LIMIT_BYTES:
            raise TargetFailed(f"the guest sent {head!r}, which is no frame of the wire")
        payload = self._read(size, deadline_s)
        (crc,) = _CRC.unpack(self._read(_CRC.size, deadline_s))
        if crc != zlib.crc32(payload, zlib.crc32(head[len(_MAGIC) :])):
            raise TargetFailed("the guest sent a frame whose checksum does not fit")
        return kind, payload

    def _read(self, size: int, deadline_s: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                self._connection.settimeout(_left(deadline_s))
                chunk = self._connection.recv(size - len(data))
            except TimeoutError as error:
                if time.monotonic() < deadline_s:  # the other's time was over: a socket has one timeout for all
                    continue
                raise TimedOut("the guest fell silent: no answer in time") from error
            except OSError as error:
                raise TargetFailed("the guest is gone") from error
            if not chunk:
                raise TargetFailed("the guest is gone")
            data += chunk
        return bytes(data)


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return min(left_s, _LONGEST_WAIT_S)


def _refusal(kind: bytes, payload: bytes) -> TargetFailed:
    words = payload[:200].decode(errors="replace")
    if kind != b"E":
        return TargetFailed(f"the guest answered {kind!r} out of turn")
    kind_of = _TooMuch if words.startswith("flood: ") else Refused
    return kind_of(f"the guest refused: {words}")
