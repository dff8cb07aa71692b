"""Verified work: a command must give back a random word that it cannot have known before."""

from __future__ import annotations

import secrets
import time
from typing import NamedTuple

from benchproof.model import Completed, Instance

_LONGEST = 64  # characters of an answer that are kept


class _Exchange(NamedTuple):
    asked: str
    answered: str
    exit_status: int


class Witness:
    """Asks instances, from any thread, and remembers each question and each answer; the oracle compares them."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: list[_Exchange] = []

    def ask(self, instance: Instance) -> int:
        """One command, tried once; returns when its answer was there, in ns. Raises TargetFailed."""
        word = secrets.token_hex(8)
        done = instance.run(instance.cat, stdin=word.encode(), timeout_s=self._timeout_s)
        answered_ns = time.monotonic_ns()
        self._seen.append(_Exchange(word, _spelled(done.stdout), done.exit_status))
        return answered_ns

    def read(self, instance: Instance, path: str) -> Completed:
        """What a command inside reads of a file."""
        return instance.run([*instance.cat, path], timeout_s=self._timeout_s)

    def evidence(self) -> dict[str, str]:
        """What `oracles.answers` reads: three lists of equal length."""
        return {
            "asked": " ".join(each.asked for each in self._seen),
            "answered": " ".join(each.answered for each in self._seen),
            "exit_statuses": " ".join(str(each.exit_status) for each in self._seen),
        }


def _spelled(answer: bytes) -> str:
    """The answer as one word, whatever it is made of."""
    if not answer:
        return "nothing"
    return answer.decode() if answer.isalnum() and len(answer) <= _LONGEST else f"hex:{answer[: _LONGEST // 2].hex()}"
