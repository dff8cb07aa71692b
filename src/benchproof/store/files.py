"""A file that others read while it is written anew: they see the old one or the new one, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchproof.errors import StoreError


def replace(path: Path, content: bytes, *, remedy: str, mode: int = 0o644) -> None:
    """When this returns it is on the disk. Raises StoreError that ends with the remedy."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as draft:
            try:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
                os.fchmod(draft.fileno(), mode)
                Path(draft.name).replace(path)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StoreError(f"cannot write '{path}': {error.strerror}; {remedy}") from error
