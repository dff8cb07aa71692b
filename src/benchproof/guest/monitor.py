"""A thin synchronous client of QEMU's machine protocol (QMP); events are waited for, not polled.

The QEMU project's own client is asynchronous; what is needed here is smaller than the bridge to it would be.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

from benchproof import pinning
from benchproof.errors import TargetFailed

_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 16


class Refused(TargetFailed):
    """QEMU does not know a command, or does not take it with these arguments."""


class Monitor:
    """Every method raises TargetFailed if QEMU refuses, falls silent or goes away."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(_TIMEOUT_S)
        self._unread = b""
        self._greeted = False
        self.shutdown = ""  # why the machine ended, as far as we have read; empty: it did not, or QEMU just left

    def execute(self, command: str, *, descriptor: int | None = None, **arguments: Any) -> Any:
        """Run a command and return its result; `descriptor` is passed along, as `getfd` wants it."""
        self._greet()
        request = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._connection.sendmsg([request], rights)
        except OSError as error:
            raise TargetFailed(f"QEMU is gone ({command})") from error
        while True:
            answer = self._receive()
            self._note(answer)
            if "error" in answer:
                raise Refused(f"QEMU refused '{command}': {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def pin(self, cpus: Sequence[int], *, vcpus: int) -> None:
        """Each of the guest's CPUs to one of the host's, where there are as many and each has a thread of its own."""
        if vcpus < 2 or len(cpus) != vcpus:
            return
        threads = [int(each["thread-id"]) for each in self.execute("query-cpus-fast")]
        if len(set(threads)) == vcpus:
            pinning.pin(threads, cpus)

    def fileno(self) -> int:
        """For a selector."""
        return self._connection.fileno()

    def take_events(self, *, timeout_s: float = 0.0) -> bool:
        """Read what QEMU has sent unasked; False when it has closed its end, or sends nothing in time."""
        self._connection.settimeout(timeout_s)
        try:
            chunk = self._connection.recv(_CHUNK_BYTES)
        except (TimeoutError, BlockingIOError):
            return timeout_s == 0
        except OSError:
            return False
        self._unread += chunk
        while b"\n" in self._unread:
            line, _, self._unread = self._unread.partition(b"\n")
            self._note(json.loads(line))
        return bool(chunk)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("event") == "SHUTDOWN":
            self.shutdown = str(event["data"]["reason"])

    def await_event(self, name: str, *, timeout_s: float) -> None:
        """Wait for an event that has not been read yet."""
        self._greet()
        self._connection.settimeout(timeout_s)
        while self._receive().get("event") != name:
            pass
        self._connection.settimeout(_TIMEOUT_S)

    def await_migration(self) -> None:
        """Wait until a migration, in or out, is complete; needs the capability `events`."""
        while True:
            answer = self._receive()
            status = answer.get("data", {}).get("status") if answer.get("event") == "MIGRATION" else ""
            if status == "completed":
                return
            if status in {"failed", "cancelled"}:
                raise TargetFailed(f"QEMU could not take or give the state of the guest: migration {status}")

    def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            self._receive()
            self.execute("qmp_capabilities")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._unread:
            try:
                chunk = self._connection.recv(_CHUNK_BYTES)
            except TimeoutError as error:
                raise TargetFailed("QEMU's monitor fell silent") from error
            except OSError as error:
                raise TargetFailed("QEMU is gone") from error
            if not chunk:
                raise TargetFailed("QEMU is gone")
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
