"""The files of a run as they are: evidence for whoever does not believe a page. No path leads out of the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from benchproof import beneath
from benchproof.errors import UsageError
from benchproof.web.asked import Missing
from benchproof.web.pages.run import known_of
from benchproof.web.site import Site

_CHUNK_BYTES = 1 << 18
_SHOWN = {".json": "application/json", ".jsonl": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


def page(site: Site, request: Request) -> Response:
    """One file, as text where it is text by its name, else to be kept; never as anything that a browser runs."""
    known, inside = known_of(site, request), PurePosixPath(request.path_params["path"])
    if known.path is None:
        raise Missing(f"run '{known.run_id}' lies in another home; its files are there")
    try:
        parts = beneath.parts_of(str(inside), inside="")
        with (
            beneath.folder(known.path, parts[:-1]) as folder,
            beneath.regular(parts[-1], within=folder) as (file, found),
        ):
            kept = os.fdopen(os.dup(file), "rb", buffering=0)  # closes itself where nobody stays to read it
    except (UsageError, OSError, IndexError) as error:
        raise Missing(f"run '{known.run_id}' has no such file") from error
    kind = _SHOWN.get(inside.suffix)
    headers = {"content-length": str(found.st_size), "x-content-type-options": "nosniff"}
    if kind is None:
        headers["content-disposition"] = "attachment"
    return StreamingResponse(_read(kept, found.st_size), media_type=kind or "application/octet-stream", headers=headers)


def _read(file: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """So many bytes: a file that grows meanwhile is told of as it was."""
    with file:
        while size_bytes and (chunk := file.read(min(_CHUNK_BYTES, size_bytes))):
            size_bytes -= len(chunk)
            yield chunk
