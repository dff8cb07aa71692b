"""The daemon's sandboxes as the tools see them: by name, each with a workspace on this host, or a mirror of it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchproof.model import Completed
from benchproof.sandboxd.limits import Refused
from benchproof.sandboxd.mirror import Mirror
from benchproof.sandboxd.sandbox import Sandbox
from benchproof.sandboxd.sandboxes import Sandboxes
from benchproof.sandboxd.workspace import Place

_DEFAULT = "default"
_UNKNOWN = 404


class Hosted:
    """A `tools.Host`. The sandbox `default` is started when a tool first names it."""

    def __init__(self, sandboxes: Sandboxes, mirrors: Path) -> None:
        self._sandboxes = sandboxes
        self._mirrors = mirrors
        self._lock = threading.Lock()

    def run(self, sandbox: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """One command to its end."""
        longest_s = self._sandboxes.limits.command_s
        return self._sandboxes.run(self._named(sandbox).name, argv, stdin=stdin, timeout_s=min(timeout_s, longest_s))

    def workspace(self, sandbox: str) -> Place:
        """The folder that commands see too, or a mirror of it."""
        found = self._named(sandbox)
        if found.folder is None:
            return Place(root=self._mirror(found).root, inside=found.workspace, mirrored=True)
        own = found.instance.probe.removeprefix(f"{found.workspace}/")
        return Place(root=found.folder, inside=found.workspace, hidden=frozenset({own}))

    def pull(self, sandbox: str) -> None:
        """Make a mirror like what the sandbox has."""
        self._mirror(self._named(sandbox)).pull()

    def entries(self, sandbox: str, parts: Sequence[str]) -> list[dict[str, Any]]:
        """One folder of a sandbox that has a mirror."""
        return self._mirror(self._named(sandbox)).entries(parts)

    def push(self, sandbox: str, parts: Sequence[str]) -> None:
        """One file of a mirror."""
        self._mirror(self._named(sandbox)).push(parts)

    def _mirror(self, sandbox: Sandbox) -> Mirror:
        """In a folder of its own for each sandbox, whatever had its name before."""

        def run(words: Sequence[str], stdin: bytes) -> Completed:
            return self._sandboxes.run_beside(sandbox.name, [sandbox.instance.probe, *words], stdin=stdin)

        return Mirror(self._mirrors / f"{sandbox.name}-{id(sandbox):x}", run, sandbox.workspace)

    def forget(self, sandbox: str) -> None:
        """Remove the mirrors of one that is gone."""
        for path in self._mirrors.glob(f"{sandbox}-*"):
            if path.name.removeprefix(f"{sandbox}-").isalnum():
                shutil.rmtree(path)

    def get(self, sandbox: str, path: str) -> bytes:
        """Read a file by way of the sandbox itself."""
        return self._sandboxes.get(self._named(sandbox).name, path)

    def fork(self, sandbox: str, image: str) -> object:
        """Freeze it."""
        return self._sandboxes.fork(sandbox, image)

    def discard(self, image: str) -> None:
        """Remove an image."""
        self._sandboxes.delete_image(image)

    def _named(self, name: str) -> Sandbox:
        try:
            return self._sandboxes.named(name)
        except Refused as error:
            if name != _DEFAULT or error.status != _UNKNOWN:
                raise
        with self._lock:
            try:
                return self._sandboxes.named(name)
            except Refused:
                return self._sandboxes.create(name).sandbox
