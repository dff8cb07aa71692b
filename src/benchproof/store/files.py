"""A file that others read while it is written anew: they see the old one or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchproof.errors import StoreError


def replace(path: Path, content: bytes, *, remedy: str, mode: int = 0o644) -> None:
    """When this returns it is on the disk. Raises StoreError that ends with the remedy."""
    with placed(path, remedy=remedy, mode=mode) as file:
        file.write(content)


@contextlib.contextmanager
def placed(path: Path, *, remedy: str, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file to write to; it is `path`, and on the disk, once the context was left without an error.

    Raises StoreError that ends with the remedy.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as draft:
            try:
                yield draft.file
                draft.flush()
                os.fsync(draft.fileno())
                os.fchmod(draft.fileno(), mode)
                Path(draft.name).replace(path)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror}; {remedy}") from error
