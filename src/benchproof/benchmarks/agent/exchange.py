"""The smallest exchange with a service over HTTP: one GET, one whole answer, on a connection that is kept.

Nothing is tried twice and no redirect is followed, so that a sample is one request.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from benchproof.errors import TargetFailed

_LIMIT_BYTES = 1 << 20


class Answer(NamedTuple):
    """An answer that came whole."""

    status: int
    body: bytes


class Client:
    """GETs to one service; `close` ends the connection."""

    def __init__(self, url: str, headers: Mapping[str, str], *, timeout_s: float) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
        self._prefix = parts.path.rstrip("/")
        self._headers = dict(headers)

    def get(self, step: str, path: str) -> Answer:
        """Raises TargetFailed that begins with the step."""
        try:
            self._connection.request("GET", self._prefix + path, headers=self._headers)
            response = self._connection.getresponse()
            body = response.read(_LIMIT_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise TargetFailed(f"{step}: {type(error).__name__}: {error}") from error
        if len(body) > _LIMIT_BYTES:
            raise TargetFailed(
                f"{step}: the answer is larger than {_LIMIT_BYTES >> 10} KiB; it was not read to its end"
            )
        return Answer(response.status, body)

    def close(self) -> None:
        """No request comes afterwards."""
        self._connection.close()
