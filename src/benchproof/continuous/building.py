"""Runs the command that builds a checkout: its user's own, by a shell, in that folder; nothing outlives it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchproof.errors import BenchproofError, UsageError
from benchproof.process import Supervised, Tail
from benchproof.quantities import Duration

_SHOWN = 300  # characters of the last line


class BuildFailed(BenchproofError):  # noqa: N818 - the standard word for it
    """What was to be measured could not be built: no answer."""

    exit_status = 3


def timeout_of(text: str) -> float:
    """Seconds after which a build has failed. Raises UsageError."""
    try:
        return float(Duration.parse(text))
    except ValueError as error:
        raise UsageError(f"--build-timeout: {error}") from error


def build(command: str, folder: Path, *, supervisor: Path, timeout_s: float, log: Path) -> None:
    """Run it to its end; what it printed is in `log`. Raises BuildFailed with its last words.

    It sees the environment of its user and, in BENCHPROOF_CHECKOUT, the folder; its TMPDIR goes with it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="benchproof-build-") as scratch,  # a compiler that is killed leaves files
        Supervised(
            ["sh", "-ec", command],
            supervisor=supervisor,
            cwd=folder,
            environment=dict(os.environ) | {"BENCHPROOF_CHECKOUT": str(folder), "TMPDIR": scratch},
        ) as program,
    ):
        outputs = [Tail(program.stdout), Tail(program.stderr)]
        status = program.wait(timeout_s)
        program.stop()
    printed = [output.text() for output in outputs]
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"".join(printed))
    if status:
        raise BuildFailed(
            f"the build ended with exit status {status}: {_last_line(printed) or 'it said nothing'}; {log}"
        )
    if status is None:
        raise BuildFailed(f"the build did not end within {timeout_s:g} s; it and all that it started were ended; {log}")


def _last_line(printed: list[bytes]) -> str:
    """Of standard error, else of standard output."""
    found = [text.decode(errors="replace").strip().rpartition("\n")[2] for text in reversed(printed)]
    return next((line for line in found if line), "")[:_SHOWN]
