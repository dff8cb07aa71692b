"""Files of a workspace, and of nothing else: paths are confined by their words, and links are not followed.

Where the workspace is a folder of the host, it is opened part by part (see beneath.py). Where it is inside alone, the
sandbox itself opens the file: a link can lead nowhere that its commands could not go.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from benchproof import beneath
from benchproof.errors import NotSupported
from benchproof.guest.wire import Refused as AgentRefused
from benchproof.sandboxd.limits import Refused
from benchproof.sandboxd.sandbox import Sandbox

_USUAL_MODE = 0o755
_LONGEST = 1024
_STATUS = {errno.ENOENT: 404, errno.EFBIG: 413, errno.ENOSPC: 507, errno.EDQUOT: 507}


def put(sandbox: Sandbox, path: str, content: bytes, *, mode: int | None, scratch: Path) -> str:
    """Write it, whole or not at all; returns the path inside. Raises Refused, InvocationError."""
    inside = _confined(sandbox, path)
    if sandbox.folder is not None:
        try:
            beneath.write(sandbox.folder, inside, content, mode=_USUAL_MODE if mode is None else mode)
        except OSError as error:
            raise _refusal(path, error) from error
        return f"{sandbox.workspace}/{inside}"
    if mode not in {None, 0o700, _USUAL_MODE}:
        raise NotSupported("files of this backend are executable", missing="leave out mode")
    with tempfile.NamedTemporaryFile(dir=scratch) as file, _agents_words(path):
        file.write(content)
        file.flush()
        return sandbox.instance.put(Path(file.name), str(inside))


def get(sandbox: Sandbox, path: str, *, limit_bytes: int) -> bytes:
    """Its content. Raises Refused, InvocationError."""
    inside = _confined(sandbox, path)
    if sandbox.folder is not None:
        try:
            return beneath.read(sandbox.folder, inside, limit_bytes=limit_bytes)
        except OSError as error:
            raise _refusal(path, error) from error
    with _agents_words(path):
        return sandbox.instance.get(f"{sandbox.workspace}/{inside}")


def _confined(sandbox: Sandbox, path: str) -> PurePosixPath:
    """Relative to the workspace. Raises Refused."""
    given = PurePosixPath(path)
    if not path or len(path) > _LONGEST or "\0" in path or ".." in given.parts:
        raise Refused(400, f"path: expected a file in {sandbox.workspace}, without '..', found '{path[:80]}'")
    if not given.is_absolute():
        return given
    if not given.is_relative_to(sandbox.workspace) or given == PurePosixPath(sandbox.workspace):
        raise Refused(403, f"path: expected a file in {sandbox.workspace}, found '{path[:80]}'")
    return given.relative_to(sandbox.workspace)


def _refusal(path: str, error: OSError) -> Refused:
    status = _STATUS.get(error.errno or 0, 403)
    words = "a link, which is not followed" if error.errno in {errno.ELOOP, errno.ENOTDIR} else error.strerror
    return Refused(status, f"path: '{path[:80]}': {words}")


@contextlib.contextmanager
def _agents_words(path: str) -> Iterator[None]:
    """What the agent of a guest refuses is about the file."""
    try:
        yield
    except AgentRefused as error:
        status = 404 if "No such file" in str(error) else 413 if "larger" in str(error) else 403
        raise Refused(status, f"path: '{path[:80]}': {error}") from error
