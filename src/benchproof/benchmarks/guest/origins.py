"""Where bodies come from: nginx, started beside the target with a body of random bytes, and its certificates.

It listens on the loopback alone and counts what it was asked, so that a cache in between does not go unnoticed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchproof.errors import LabInvalid, NotSupported
from benchproof.model import Frozen, Lab
from benchproof.process import ENVIRONMENT, Supervised, Tail

LOOPBACK = "127.0.0.1"
_NAME = "localhost"  # in certificates: not every TLS library takes an address for a name
_TRIES = 5
_START_TIMEOUT_S = 30.0
_ASK_TIMEOUT_S = 10.0
_CHUNK_BYTES = 1 << 20
_COUNTS = re.compile(r"^ (\d+) (\d+) (\d+) $", re.MULTILINE)  # accepts, handled, requests
_CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
    server {{ listen 127.0.0.1:{port} {tls}; root {folder}/served; {certificates} }}
}}
"""


class Origin(Frozen, frozen=True, kw_only=True):
    """What is asked for, and what a right answer is."""

    url: str
    sha256: str
    size_bytes: int
    ca: Path | None = None  # that signed its certificate; None: it speaks no TLS, or the system's own are meant
    status_url: str = ""  # where it counts; empty: nobody knows what it was asked
    software: str = ""

    def asked(self) -> int:
        """How many requests for the body it has had until now."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the environment says
        with direct.open(self.status_url, timeout=_ASK_TIMEOUT_S) as answer:
            counts = _COUNTS.search(answer.read(4096).decode())
        if counts is None:
            raise LabInvalid("nginx does not say how often it was asked")
        return int(counts[3])


@contextlib.contextmanager
def nginx(lab: Lab, *, size_bytes: int, https: bool = False) -> Iterator[Origin]:
    """An nginx of our own with one body; it and its folder are gone afterwards. Raises NotSupported, LabInvalid."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{ENVIRONMENT['PATH']}")
    if program is None:
        raise NotSupported("nginx, which serves the body, is not installed", missing="apt-get install nginx-light")
    with tempfile.TemporaryDirectory(dir=lab.scratch, prefix="origin-") as name:
        folder = Path(name)
        digest = _write_body(folder / "served", size_bytes)
        ca = certificates(folder) if https else None
        with _started(lab, program, folder, https=https) as (port, status):
            yield Origin(
                url=f"{'https' if https else 'http'}://{_NAME if https else LOOPBACK}:{port}/body",
                sha256=digest,
                size_bytes=size_bytes,
                ca=ca,
                status_url=f"http://{LOOPBACK}:{status}/",
                software=_version(program),
            )


@contextlib.contextmanager
def file_server(path: Path) -> Iterator[Origin]:
    """One file, served by a thread of ours: into a guest of QEMU its way is a hundred times faster than the wire's."""
    content = path.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: what is wrong is seen at the other end."""

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            url = f"http://{LOOPBACK}:{server.server_address[1]}/file"
            yield Origin(url=url, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
        finally:
            server.shutdown()
            serving.join()


def free_port() -> int:
    """One that nobody listens on now; who is faster takes it, so every use of one may have to be tried again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def await_port(program: Supervised, port: int, *, timeout_s: float) -> bool:
    """Until somebody listens there; False if the program ends, or does not come that far in time."""
    deadline_s = time.monotonic() + timeout_s
    while program.wait(0.005) is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return program.wait(0.01) is None  # another one's listener does not keep ours alive
    return False


def certificates(folder: Path, *, name: str = _NAME, days: int = 2) -> Path:
    """A certificate authority and a certificate of it for `name`: ca.pem, which is returned, server.pem, server.key."""
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]  # an RSA key takes a second
    _openssl(folder, *new, "-x509", "-days", "2", "-subj", "/CN=benchproof", "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, *new, "-subj", f"/CN={name}", "-keyout", "server.key", "-out", "request")
    signed = ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    _openssl(folder, *signed, "-extfile", "names", "-days", str(days), "-out", "server.pem")
    return folder / "ca.pem"


def _openssl(folder: Path, *words: str) -> None:
    try:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    except FileNotFoundError as error:
        raise NotSupported("certificates are made with openssl", missing="apt-get install openssl") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise LabInvalid(f"openssl {words[0]}: {said.decode(errors='replace').strip()[-200:]}") from error


def _write_body(folder: Path, size_bytes: int) -> str:
    """Random bytes, which nothing on the way can make smaller; returns their SHA-256."""
    folder.mkdir()
    digest, left = hashlib.sha256(), size_bytes
    with (folder / "body").open("wb") as file:
        while left:
            chunk = os.urandom(min(left, _CHUNK_BYTES))
            digest.update(chunk)
            file.write(chunk)
            left -= len(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _started(lab: Lab, program: str, folder: Path, *, https: bool) -> Iterator[tuple[int, int]]:
    """The ports that it serves and counts on."""
    certificate = f"ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.key;" if https else ""
    for _ in range(_TRIES):
        port, status = free_port(), free_port()
        text = _CONFIGURATION.format(
            folder=folder,
            port=port,
            status=status,
            tls="ssl" if https else "",
            certificates=certificate,
            user="user root;" if os.geteuid() == 0 else "",  # another one could not read our folders
        )
        (folder / "nginx.conf").write_text(text)
        words = [program, "-c", str(folder / "nginx.conf"), "-e", "stderr", "-p", str(folder)]
        with Supervised(words, supervisor=lab.probe) as running:
            said = Tail(running.stderr)
            if await_port(running, port, timeout_s=_START_TIMEOUT_S):
                yield port, status
                return
            running.stop()
            lab.log("nginx", said.text())
    raise LabInvalid("nginx does not start; what it said is in the log 'nginx'")


@functools.cache
def _version(program: str) -> str:
    done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=30, check=False)
    return (done.stderr.splitlines() or ["nginx"])[0].removeprefix("nginx version: ")
