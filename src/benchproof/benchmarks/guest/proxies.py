"""What stands between a target and an origin: a proxy that the plan names by its URL, or a mitmproxy of our own.

Ours opens what is encrypted: it has a certificate authority of its own, made for this invocation and gone with it. It
marks every answer with a word that nobody else knows, so that an answer that did not pass through it is told apart.
Large bodies are passed on as they come: left alone, mitmproxy 8 keeps a body until it has all of it, in a time that
grows with the square of its size (100 MB: 75 s and more, against 0.3 s).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchproof.benchmarks.guest.origins import LOOPBACK, Origin, await_port, free_port
from benchproof.errors import LabInvalid, NotSupported
from benchproof.model import Frozen, Lab
from benchproof.process import ENVIRONMENT, Supervised, Tail

OURS = "mitmproxy"
PROGRAM = "BENCHPROOF_MITMDUMP"  # environment variable: mitmdump, where it lies in an environment of its own
_TRIES = 5
_START_TIMEOUT_S = 60.0
_MARK = "x-benchproof-passed"
_STREAMED = "1m"  # bodies of this size and more
_ADDON = """
from mitmproxy import version

with open("version", "w") as file:  # asked for, it would take as long as its start
    file.write(version.VERSION)

def responseheaders(flow):
    flow.response.headers["{name}"] = "{word}"
"""


class Proxy(Frozen, frozen=True, kw_only=True):
    """`url` is empty where there is none."""

    url: str = ""
    mark: str = ""  # `NAME: VALUE`, a header that it gives to every answer; empty: it is not known to
    ca: Path | None = None  # that signs what it shows in place of an origin's certificate
    software: str = ""


@contextlib.contextmanager
def named(lab: Lab, name: str, mark: str, origin: Origin) -> Iterator[Proxy]:
    """The proxy that a plan means. Raises NotSupported, LabInvalid."""
    if name == OURS:
        with _mitmproxy(lab, origin) as proxy:
            yield proxy
    else:
        yield Proxy(url=name, mark=mark)


def program() -> str:
    """The mitmdump to use. Raises NotSupported."""
    wanted = os.environ.get(PROGRAM, "mitmdump")
    found = shutil.which(wanted, path=f"{os.environ.get('PATH', '')}:{ENVIRONMENT['PATH']}")
    if found is None:
        raise NotSupported(
            f"mitmproxy is not installed: no '{wanted}'",
            missing=f"apt-get install mitmproxy, or {PROGRAM} = the mitmdump of another environment",
        )
    return found


@contextlib.contextmanager
def _mitmproxy(lab: Lab, origin: Origin) -> Iterator[Proxy]:
    mitmdump = program()
    with tempfile.TemporaryDirectory(dir=lab.scratch, prefix="proxy-") as name:
        folder, word = Path(name), secrets.token_hex(16)
        (folder / "mark.py").write_text(_ADDON.format(name=_MARK, word=word))
        with _started(lab, mitmdump, folder, origin) as port:
            yield Proxy(
                url=f"http://{LOOPBACK}:{port}",
                mark=f"{_MARK}: {word}",
                ca=folder / "mitmproxy-ca-cert.pem",
                software=f"Mitmproxy: {_version(folder)}, bodies of {_STREAMED} and more are streamed",
            )


@contextlib.contextmanager
def _started(lab: Lab, mitmdump: str, folder: Path, origin: Origin) -> Iterator[int]:
    trusted = ["--set", f"ssl_verify_upstream_trusted_ca={origin.ca}"] if origin.ca else []
    for _ in range(_TRIES):
        port = free_port()
        listen = ["--listen-host", LOOPBACK, "--listen-port", str(port)]
        settings = ["--set", f"confdir={folder}", "--set", f"stream_large_bodies={_STREAMED}"]
        words = [mitmdump, "--quiet", *settings, *listen, *trusted, "-s", str(folder / "mark.py")]
        with Supervised(
            words, supervisor=lab.probe, cwd=folder, environment={**ENVIRONMENT, "HOME": str(folder)}
        ) as on:
            said, also = Tail(on.stdout), Tail(on.stderr)
            if await_port(on, port, timeout_s=_START_TIMEOUT_S):
                yield port
                return
            on.stop()
            lab.log("mitmproxy", said.text() + also.text())
    raise LabInvalid("mitmproxy does not start; what it said is in the log 'mitmproxy'")


def _version(folder: Path) -> str:
    """As the proxy that runs says it of itself."""
    try:
        return (folder / "version").read_text()
    except OSError:
        return "unknown"
