"""What chaos asks of a target that starts a service of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable

from benchproof.errors import NotSupported
from benchproof.model import Instance, Service, Target


class Reached(Protocol):
    """The interface of a service at some address."""

    def start(self) -> AbstractContextManager[Instance]:
        """A sandbox of it."""

    def delete(self, name: str) -> None:
        """Whatever became of who asked for it. Raises TargetFailed."""


@runtime_checkable
class Reachable(Protocol):
    """A target whose service can be reached at more than one address, and started again where it was."""

    def service(self) -> Service:
        """The one that the target usually has: see `model.Served`."""

    def serve_in(self, folder: Path) -> AbstractContextManager[Service]:
        """One of its own with its state in there. What it started lives on when it dies, until the context is left."""

    def reached(self, url: str) -> AbstractContextManager[Reached]:
        """The same interface at another address."""


def reachable(target: Target) -> Reachable:
    """The target as one. Raises NotSupported where there is no service, or one that we did not start."""
    if not isinstance(target, Reachable):
        raise NotSupported("this target is no service", missing='a target that is: kind = "service"')
    return target
