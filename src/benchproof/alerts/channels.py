"""The ways to somebody: a signed webhook, or whatever Apprise has an address for. Each is given up in bounded time.

Nothing that may be a secret is ever in a message of ours: no address, no words of a foreign library.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from datetime import datetime

import msgspec

from benchproof.alerts import webhook
from benchproof.alerts.message import Message
from benchproof.alerts.rules import Channel, refuse_bad_address
from benchproof.errors import BenchproofError, NotDelivered

PATIENCE_S = 20.0  # with one channel, whatever its other end does
_STEP_S = 10.0  # with one step of it


def send(channel: Channel, message: Message, *, now: datetime, patience_s: float = PATIENCE_S) -> None:
    """Returns when it was taken. Raises NotDelivered."""
    deliver = _by_apprise if channel.apprise else _by_webhook
    failed: list[BaseException] = [NotDelivered(f"no answer in {patience_s:g} s")]

    def work() -> None:
        try:
            deliver(channel, message, now)
            failed.clear()
        except BaseException as error:  # noqa: BLE001 - it is raised where it can be seen
            failed[:] = [error]

    worker = threading.Thread(target=work, daemon=True)  # who never answers is left behind
    worker.start()
    worker.join(patience_s)
    for error in failed[:]:
        if isinstance(error, BenchproofError):
            raise NotDelivered(f"channel '{channel.name}': {error}") from None
        raise error


def _by_webhook(channel: Channel, message: Message, now: datetime) -> None:
    assert channel.webhook
    assert channel.secret
    url, secret = channel.webhook.reveal(), channel.secret.reveal().encode()
    refuse_bad_address(url, "webhook")
    body = msgspec.json.encode(message.document | {"text": message.text})
    webhook.post(url, secret, body, timestamp=int(now.timestamp()), timeout_s=_STEP_S)


def _by_apprise(channel: Channel, message: Message, now: datetime) -> None:
    del now
    assert channel.apprise
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise NotDelivered("it needs apprise: pip install 'benchproof[alerts]'") from error
    with _silenced():
        asset = apprise.AppriseAsset(app_id="benchproof", app_desc="benchproof", async_mode=False)
        sender = apprise.Apprise(asset=asset)
        if not sender.add(channel.apprise.reveal()):
            raise NotDelivered("expected an address that Apprise knows, such as slack://..., found something else")
        taken = sender.notify(body=message.text, title=message.title, body_format=apprise.NotifyFormat.TEXT)
    if not taken:
        raise NotDelivered("Apprise could not deliver it; the command `apprise -vv` with that address says why")


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Apprise logs addresses, and those are secrets."""
    logger = logging.getLogger("apprise")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
