"""The command line without the start of a process: for tests of what it says, not of how a process ends."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchproof.cli import main


def command(
    *words: object, cwd: Path = Path(), env: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """What `benchproof WORDS` in that folder would have ended with: the console script itself, on streams of its own.

    For what belongs to a process (a terminal, a signal, a reader that left, an encoding) start one.
    """
    output, complaint = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(cwd), io.TextIOWrapper(io.BytesIO()) as nothing:
        patch.setattr("sys.argv", ["benchproof", *map(str, words)])
        for name, stream in (("stdin", nothing), ("stdout", output), ("stderr", complaint)):
            patch.setattr(f"sys.{name}", stream)
        for name in os.environ.keys() - env.keys():
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    for stream in (output, complaint):
        stream.flush()
    texts = (stream.buffer.getvalue().decode() for stream in (output, complaint))  # type: ignore[attr-defined]
    code = ended.value.code
    assert code is None or isinstance(code, int), code
    return subprocess.CompletedProcess(words, code or 0, *texts)
