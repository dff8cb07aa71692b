"""How much of anything the daemon takes on, and how it says no."""

from __future__ import annotations

import re

from benchproof.errors import BenchproofError, UsageError
from benchproof.model import Frozen

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


class Limits(Frozen, frozen=True, kw_only=True):
    """Each is there so that no client can take everything: neither memory nor threads nor the patience of others."""

    sandboxes: int = 128  # handed out at once; a pool holds as many again at most
    images: int = 64
    provisions: int = 4  # under way at once
    waiting: int = 64  # provisions that wait for one of these
    commands: int = 192  # under way at once, in all sandboxes
    commands_waiting: int = 8  # for one and the same sandbox
    body_bytes: int = 16 << 20
    output_bytes: int = 16 << 20  # of one stream of one command
    command_s: float = 600.0  # the longest time that a client may give a command
    usual_command_s: float = 30.0
    busy_s: float = 30.0  # how long a file or a fork waits for the command that runs
    head_s: float = 10.0  # from the first byte of a request, or from the connection, to the end of its head
    body_s: float = 30.0
    answer_s: float = 60.0  # for a client to take its answer
    idle_s: float = 75.0  # of a connection that is kept

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            least = 0 if name in {"waiting", "images"} else 0.1 if name.endswith("_s") else 1
            if not getattr(self, name) >= least:
                raise UsageError(f"{name}: expected at least {least:g}, found {getattr(self, name):g}")


class Refused(BenchproofError):  # noqa: N818 - the word for it
    """The daemon does not do this, and why; `status` is that of HTTP, `step` what was not done."""

    def __init__(self, status: int, words: str, *, step: str = "", retry_after_s: int = 0) -> None:
        super().__init__(words)
        self.status = status
        self.step = step
        self.retry_after_s = retry_after_s


def refuse_bad_name(name: str, what: str) -> None:
    """Raises Refused."""
    if not NAME.fullmatch(name):
        raise Refused(400, f"{what}: expected [a-z0-9][a-z0-9-]{{0,62}}, found '{name[:80]}'")
