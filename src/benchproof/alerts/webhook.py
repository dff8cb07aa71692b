"""A POST of JSON that the receiver can believe: signed with a secret that only the two of them have.

    X-Benchproof-Timestamp: 1795270889
    X-Benchproof-Signature: sha256=HEX

HEX is HMAC-SHA256 over the timestamp, a full stop and the body. `verify` is what a receiver has to do; it is the check
that the tests tamper with.
"""

from __future__ import annotations

import hashlib
import hmac
import urllib.error
import urllib.request
from http.client import HTTPException

from benchproof import __version__
from benchproof.errors import NotDelivered

TIMESTAMP, SIGNATURE = "X-Benchproof-Timestamp", "X-Benchproof-Signature"
LEAST_SECRET_BYTES = 16
TOLERANCE_S = 300  # between the two clocks; what is older may have been recorded by somebody


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """The header that goes with the body."""
    return "sha256=" + hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def verify(secret: bytes, *, timestamp: str, signature: str, body: bytes, now_s: float) -> bool:
    """Whether the body is what who has the secret sent, and that just now."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 20 and signature.isascii()):
        return False
    fresh = abs(now_s - int(timestamp)) <= TOLERANCE_S
    return hmac.compare_digest(sign(secret, int(timestamp), body), signature) and fresh


def post(url: str, secret: bytes, body: bytes, *, timestamp: int, timeout_s: float) -> None:
    """Returns when the receiver answered 2xx. Raises NotDelivered, which names no address: it may be a secret."""
    if len(secret) < LEAST_SECRET_BYTES:
        raise NotDelivered(f"expected a secret of {LEAST_SECRET_BYTES} bytes or more, found {len(secret)}")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"benchproof/{__version__}",
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secret, timestamp, body),
    }
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - checked by rules
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout_s):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise NotDelivered(f"the receiver answered {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        words = getattr(reason, "strerror", None) or type(reason).__name__
        raise NotDelivered(f"the receiver cannot be asked: {words}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is signed for one receiver is not shown to another."""

    def redirect_request(self, *_: object) -> None:
        return None
