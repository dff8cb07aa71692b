"""What makes the sandboxes: a target of benchproof, from a plan or by its kind, and its three ways to start one."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from benchproof import plan
from benchproof.errors import NotSupported, TargetFailed, UsageError
from benchproof.model import Forkable, Image, Instance, Lab, Target
from benchproof.targets import KINDS

_LOG = logging.getLogger(__name__)
Origin = Literal["pool", "snapshot", "cold", "image"]
Start = Callable[[], AbstractContextManager[Instance]]
BACKENDS = ("qemu", "gvisor", "bwrap")
_USUAL = {"bwrap": {"system": True}}  # nothing to run but our probe is no sandbox to try things in
_CHECK_TIMEOUT_S = 30.0


class Backend:
    """A target that makes sandboxes. `kind` is for people; `cold`: no snapshot is wanted."""

    def __init__(self, target: Target, kind: str, *, cold: bool = False) -> None:
        self.kind = kind
        self._target = target
        self._is_cold = cold
        self._image: Image | None = None

    def prepare(self) -> None:
        """All that is made once: the snapshot that sandboxes are cloned from. Raises InvocationError.

        One that cannot be frozen starts from nothing each time: gVisor with the network of the host.
        """
        if isinstance(self._target, Forkable) and not self._is_cold:
            try:
                self._image = self._target.image()
            except NotSupported as error:
                _LOG.warning("no snapshot, each sandbox starts from nothing: %s", error)
        if self._image is None:
            with self._cold()() as instance:
                check(instance)

    def start(self, demanded: Origin | None = None) -> tuple[Origin, Start]:
        """The usual start, or the one that is demanded. Raises NotSupported."""
        if demanded == "snapshot" and self._image is None:
            raise NotSupported(f"sandboxes of backend '{self.kind}' start from nothing; there is no snapshot")
        if demanded == "cold" or self._image is None:
            return "cold", self._cold()
        return "snapshot", self._image.start

    def _cold(self) -> Start:
        return self._target.cold if isinstance(self._target, Forkable) else self._target.start


def check(instance: Instance) -> None:
    """It gives back a random word that it cannot have known. Raises TargetFailed."""
    word = secrets.token_bytes(16)
    done = instance.run(instance.cat, stdin=word, timeout_s=_CHECK_TIMEOUT_S)
    if (done.exit_status, done.stdout) != (0, word):
        said = done.stderr[-200:].decode(errors="replace").strip()
        raise TargetFailed(f"the sandbox does not serve: exit status {done.exit_status}, {said or 'a wrong answer'}")


def by_kind(kind: str, lab: Lab) -> Backend:
    """The backend of that kind with its usual settings. Raises UsageError."""
    if kind not in BACKENDS:
        raise UsageError(f"--backend: expected {', '.join(BACKENDS)}, found '{kind}'; anything else needs a --plan")
    loaded = KINDS.load(kind)
    settings = loaded.Settings(**_USUAL.get(kind, {}))
    return Backend(loaded(settings, lab), kind)


def by_plan(file: Path, name: str | None, lab: Lab) -> Backend:
    """A target of a plan; the only one if none is named. Raises UsageError."""
    read = plan.load(file)
    if name is None and len(read.targets) == 1:
        name = next(iter(read.targets))
    if name not in read.targets:
        raise UsageError(f"--target: expected one of {', '.join(read.targets)} of '{file}', found {name or 'none'}")
    kind, settings = read.targets[name]
    if kind in {"kernel", "command", "service"}:
        raise UsageError(
            f"--target: '{name}' is of kind '{kind}', in which no sandbox can be kept; see docs/sandboxd.md"
        )
    return Backend(read.make_target(name, lab), kind, cold=getattr(settings, "start", "") == "cold")
