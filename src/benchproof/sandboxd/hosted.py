"""The daemon's sandboxes as the tools see them: by name, each with a workspace that is a folder of this host."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from benchproof.errors import NotSupported
from benchproof.model import Completed
from benchproof.sandboxd.limits import Refused
from benchproof.sandboxd.sandbox import Sandbox
from benchproof.sandboxd.sandboxes import Sandboxes
from benchproof.sandboxd.workspace import Place

_DEFAULT = "default"
_UNKNOWN = 404


class Hosted:
    """A `tools.Host`. The sandbox `default` is started when a tool first names it."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._sandboxes = sandboxes
        self._lock = threading.Lock()

    def run(self, sandbox: str, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """One command to its end."""
        longest_s = self._sandboxes.limits.command_s
        return self._sandboxes.run(self._named(sandbox).name, argv, stdin=stdin, timeout_s=min(timeout_s, longest_s))

    def workspace(self, sandbox: str) -> Place:
        """The folder that commands see too."""
        found = self._named(sandbox)
        if found.folder is None:
            raise NotSupported(
                "the workspace of a sandbox of this backend is inside alone", missing="--backend bwrap or gvisor"
            )
        own = found.instance.probe.removeprefix(f"{found.workspace}/")
        return Place(root=found.folder, inside=found.workspace, hidden=frozenset({own}))

    def put(self, sandbox: str, path: str, content: bytes, *, mode: int | None) -> object:
        """Write a file by way of the sandbox itself."""
        return self._sandboxes.put(self._named(sandbox).name, path, content, mode=mode)

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
