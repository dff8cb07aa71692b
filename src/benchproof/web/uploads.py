"""`/api/upload`: a packed run comes in by token, is verified, and is a run of this home or nothing at all.

GET says whether a token is good and how much is taken, so that nobody sends a gigabyte to be refused; POST takes the
run. Every answer is JSON with what became of it, why, and what to do.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from benchproof.errors import StoreError, one_line
from benchproof.model import Frozen
from benchproof.store.packed import Room
from benchproof.verify import Verdict
from benchproof.web import arrival
from benchproof.web.tokens import Token, Tokens

_LOG = logging.getLogger(__name__)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Limits(Frozen, frozen=True, kw_only=True):
    """Each is there so that no client can take everything: neither disk nor memory nor the patience of others."""

    room: Room = Room()
    at_once: int = 2  # uploads; more are told to come again
    chunk_s: float = 30.0  # from one piece of the body to the next
    body_s: float = 900.0
    verify_s: float = 300.0
    spare_bytes: int = 1 << 30  # of the disk, which an upload leaves free whatever it needs


USUAL = Limits()
_UNPACKED_AT_MOST = 16  # times the packed size; a usual run has 4 to 5


class Answer(Frozen, frozen=True, kw_only=True):
    """What became of an upload; `todo` is the way out where it was refused."""

    status: str  # added | there already | refused
    run_id: str = ""
    path: str = ""  # of its page
    error: str = ""
    todo: str = ""
    verdict: Verdict | None = None


class Offer(Frozen, frozen=True, kw_only=True):
    """What a good token is told before it sends anything."""

    token: str  # its name
    packed_bytes: int
    unpacked_bytes: int
    files: int


class _Refused(Exception):  # noqa: N818 - what it is
    def __init__(self, status: int, error: str, todo: str, verdict: Verdict | None = None) -> None:
        super().__init__(error)
        self.status = status
        run_id = verdict.run_id if verdict else ""
        self.answer = Answer(status="refused", error=one_line(error), todo=todo, verdict=verdict, run_id=run_id)


class Uploads:
    """The endpoint of one home. `arrived` is called after a run came in, so that others see it at once."""

    def __init__(
        self,
        home: Path,
        tokens: Tokens,
        *,
        arrived: Callable[[], object],
        base_path: str = "",
        limits: Limits = USUAL,
    ) -> None:
        self._home = home
        self._tokens = tokens
        self._arrived = arrived
        self._base_path = base_path
        self._limits = limits
        self._under_way = 0

    async def endpoint(self, request: Request) -> Response:
        """Any request to the endpoint."""
        try:
            token = await run_in_threadpool(self._admitted, request)
            return _json(200, self._offer(token)) if request.method == "GET" else await self._taken(request, token)
        except _Refused as refused:
            _LOG.info("upload refused: %s", refused.answer.error)
            return _json(refused.status, refused.answer)
        except OSError as error:
            _LOG.error("upload failed: %s", error)
            status = 507 if error.errno in _FULL else 500
            todo = "make room there" if status == 507 else "tell who runs this server; its log has more"
            words = f"the run could not be written: {os.strerror(error.errno or 0)}"
            return _json(status, Answer(status="refused", error=words, todo=todo))

    def _admitted(self, request: Request) -> Token:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        try:
            token = self._tokens.admit(text.strip(), "upload") if kind.lower() == "bearer" else None
        except StoreError as error:
            raise _Refused(503, "the server cannot read its tokens", "tell who runs this server") from error
        if token is None:
            raise _Refused(
                401,
                "expected 'Authorization: Bearer TOKEN' with a valid token of scope upload",
                "benchproof token create NAME --scope upload, in the home of the server",
            )
        return token

    def _offer(self, token: Token) -> Offer:
        room = self._limits.room
        return Offer(
            token=token.name,
            packed_bytes=room.packed_bytes,
            unpacked_bytes=room.unpacked_bytes,
            files=room.files,
        )

    async def _taken(self, request: Request, token: Token) -> Response:
        if self._under_way >= self._limits.at_once:
            raise _Refused(503, f"{self._under_way} uploads are under way already", "come again in a minute")
        self._under_way += 1
        try:
            with arrival.staging(self._home) as folder:
                await self._receive(request, folder / arrival.PACKED)
                status, answer = await run_in_threadpool(self._settled, folder)
        finally:
            self._under_way -= 1
        _LOG.warning("run %s %s, sent with token '%s'", answer.run_id, answer.status, token.name)
        return _json(status, answer)

    # ---- the body ----

    async def _receive(self, request: Request, path: Path) -> None:
        """Raises _Refused: too large, too slow, no room, cut off."""
        most = self._limits.room.packed_bytes
        stated = request.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > most:
            raise _too_large(most)
        self._refuse_full_disk()
        try:
            async with asyncio.timeout(self._limits.body_s):
                with path.open("wb") as file:
                    await self._write(request, file.write, most)
        except TimeoutError as error:
            raise _Refused(408, "the run did not arrive in time", "send it again over a better line") from error
        except ClientDisconnect as error:
            raise _Refused(400, "the connection was cut before the run was whole", "send it again") from error

    async def _write(self, request: Request, write: Callable[[bytes], object], most: int) -> None:
        pieces, received = aiter(request.stream()), 0
        while (piece := await asyncio.wait_for(anext(pieces, None), self._limits.chunk_s)) is not None:
            received += len(piece)
            if received > most:
                raise _too_large(most)
            write(piece)

    def _refuse_full_disk(self) -> None:
        needed = self._limits.spare_bytes + self._limits.room.unpacked_bytes + self._limits.room.packed_bytes
        if shutil.disk_usage(self._home).free < needed:
            raise _Refused(507, "the server has too little room on its disk to take runs", "make room there")

    # ---- what arrived ----

    def _settled(self, folder: Path) -> tuple[int, Answer]:
        """Verify it and move it in, in a thread; what is not moved is removed here. Raises _Refused."""
        try:
            verdict = self._verified(folder)
            status = arrival.settle(folder, self._home, verdict.run_id)
        except FileExistsError as error:
            words = f"another run '{verdict.run_id}' is there, with other content"
            todo = "two runs have one name, so one of them was changed: benchproof verify says which"
            raise _Refused(409, words, todo, verdict) from error
        finally:
            shutil.rmtree(folder / arrival.UNPACKED, ignore_errors=True)
        self._tell()
        path = f"{self._base_path}/runs/{verdict.run_id}"
        return 201 if status == "added" else 200, Answer(
            status=status, run_id=verdict.run_id, path=path, verdict=verdict
        )

    def _verified(self, folder: Path) -> Verdict:
        """Raises _Refused."""
        todo = "look at it with benchproof verify where it was measured, and send it as it was recorded"
        try:
            examined = arrival.examine(folder, self._limits.room, timeout_s=self._limits.verify_s)
        except StoreError as error:
            raise _Refused(422, str(error), todo) from error
        if examined.refusal or examined.verdict is None:
            raise _Refused(422, examined.refusal, todo, examined.verdict)
        return examined.verdict

    def _tell(self) -> None:
        """Its run is in the store, whatever the index says of that now."""
        try:
            self._arrived()
        except StoreError as error:
            _LOG.warning("the index could not be brought up to date: %s", error)


def limits(packed_bytes: float) -> Limits:
    """The usual ones, for packed runs of that size."""
    size_bytes = int(packed_bytes)
    room = Room(packed_bytes=size_bytes, unpacked_bytes=_UNPACKED_AT_MOST * size_bytes)
    return msgspec.structs.replace(USUAL, room=room)


def _too_large(most: int) -> _Refused:
    return _Refused(413, f"expected a packed run of at most {most} bytes, found more", "raise --upload-limit there")


def _json(status: int, content: Any) -> Response:
    headers = {"cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 503:
        headers["retry-after"] = "60"
    if status >= 400:
        headers["connection"] = "close"  # what is left of the body is not read
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")
