"""What all benchmarks with agents share: the parameters of their work."""

from __future__ import annotations

from typing import ClassVar, Self

from benchproof.benchmarks.resilience.agents import Terms
from benchproof.model import Definition, Frozen
from benchproof.quantities import Duration, Size

_LARGEST_FILE_BYTES = 1 << 20


class Crowded(Frozen, frozen=True, forbid_unknown_fields=True):
    """`timeout` is for each command; `file`: how much random content each file has."""

    definition: ClassVar[Definition]

    timeout: Duration = Duration(60)
    file: Size = Size(1024)

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError("timeout: expected a duration that is not zero")
        if not 1 <= self.file <= _LARGEST_FILE_BYTES:
            raise ValueError(f"file: expected 1 B to 1 MiB, found {self.file:.0f} B")

    def quick(self) -> Self:
        """The same question with less work."""
        return self

    @property
    def terms(self) -> Terms:
        """On which the agents work."""
        return Terms(timeout_s=float(self.timeout), file_bytes=int(self.file))
