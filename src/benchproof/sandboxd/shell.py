"""A command that is text goes to the sandbox's own shell; one without a shell takes words alone, and says so.

Text is never split here: what looks like a shell and is none runs `id;` as a program.
"""

from __future__ import annotations

from benchproof.errors import NotSupported
from benchproof.model import Completed

SHELL = "/bin/sh"
_CANNOT_EXECUTE = 127
_UNSTARTED = f"probe: cannot execute '{SHELL}':".encode()
_WAY = 'send argv in its place, or take a sandbox with programs: --backend bwrap, or a plan with root = "debian"'


def words(command: str) -> list[str]:
    """What to run for it."""
    return [SHELL, "-c", command]


def refuse_without(done: Completed) -> None:
    """Where the end of `words` says that there was no shell to begin. Raises NotSupported."""
    if done.exit_status == _CANNOT_EXECUTE and not done.stdout and done.stderr.startswith(_UNSTARTED):
        raise NotSupported(f"command: expected a sandbox with {SHELL}, found none in this one", missing=_WAY)
