"""What all benchmarks of agents share: the host times them, and there is a service or a sandbox to ask."""

from __future__ import annotations

from benchproof.benchmarks.lifecycle.measured import Measured
from benchproof.model import Authority
from benchproof.quantities import Duration

TIER = 4
AUTHORITY = Authority(ambient=True)  # the host times them; what they may do is not part of the question
NONDETERMINISM = "the random content that is written, read and echoed"
UNSUPPORTED = "a target without a service behind it, or without its MCP, as outcome `unsupported`"


class Asked(Measured, frozen=True):
    """The parameters that all share. `command`: the words that copy standard input; empty: the target knows them."""

    samples: int = 100
    warmups: int = 5
    timeout: Duration = Duration(60)
    command: tuple[str, ...] = ()
