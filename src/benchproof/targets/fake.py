"""A target whose answers a test writes by hand. No plan can name it: there is no simulation in benchproof."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchproof.errors import TargetFailed
from benchproof.model import Clock, Completed, Facts

Answer = Callable[[Sequence[str], bytes, dict[str, bytes]], Completed]


_NO_SMOKES = b'{"line":"unsupported","reason":"answers are written by hand"}\n'


class FakeInstance:
    """Remembers what was put in and asks the test's function for each answer; it has nothing to say of tier 0."""

    clock: Clock = "target"
    probe = "/probe"
    cat = (probe, "cat")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.files: dict[str, bytes] = {}

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        if argv[1:2] == ["smoke"]:
            return Completed(exit_status=69, stdout=_NO_SMOKES, stderr=b"", elapsed_ns=0)
        completed = self._answer(argv, stdin, self.files)
        if completed.elapsed_ns > timeout_s * 1e9:
            raise TargetFailed(f"'{argv[0]}' did not end within {timeout_s:g} s; it and all that it started were ended")
        return completed

    def put(self, source: Path, name: str) -> str:
        self.files[f"/{name}"] = source.read_bytes()
        return f"/{name}"

    def get(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError as error:
            raise TargetFailed(f"cannot read '{path}': no such file") from error


class Fake:
    """`answer(argv, stdin, files)` is called for each command; an `InvocationError` that it raises is passed on."""

    def __init__(self, answer: Answer, *, facts: Facts | None = None) -> None:
        self._answer = answer
        self._facts = facts or {"machine": {"execution": "native"}, "system": {"kind": "fake"}}
        self.starts = 0
        self.alive = 0

    def facts(self) -> Facts:
        return self._facts

    @contextlib.contextmanager
    def start(self) -> Iterator[FakeInstance]:
        self.starts += 1
        self.alive += 1
        try:
            yield FakeInstance(self._answer)
        finally:
            self.alive -= 1
