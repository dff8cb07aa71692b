"""`benchproof serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import home_option, index_option, say
from benchproof.errors import UsageError

if TYPE_CHECKING:
    import socket

_EPILOG = """\b
Examples:
  benchproof serve                                         the runs of this home, on http://127.0.0.1:8321
  benchproof serve --index postgresql://ci@db/bench        those of the whole team
  benchproof serve --listen 0.0.0.0:8321 --public          for everyone who reaches this machine, to read
  benchproof serve --base-path /bench                      behind a proxy that has it at https://example.org/bench
"""


@click.command("serve", epilog=_EPILOG)
@click.option("--listen", default="127.0.0.1:8321", show_default=True, metavar="HOST:PORT", help="Port 0: any.")
@click.option("--public", is_flag=True, help="Listen where others reach it: whoever does reads every run.")
@click.option("--base-path", default="", metavar="/PATH", help="Where a proxy puts it.")
@click.option("--ready-file", metavar="FILE", help="Written when it serves: JSON with url and pid.")
@index_option
@home_option
def command(*, listen: str, public: bool, base_path: str, ready_file: str | None, index: str | None, home: Path) -> int:
    """Show runs, comparisons, trends and gates as pages for a browser. It reads, and changes no run.

    SIGTERM and Ctrl-C end it with exit status 0. Needs the extra `dashboard`.
    """
    from benchproof import listening

    host, port = listening.address(listen)
    if not (public or listening.is_loopback(host)):
        raise UsageError(f"--listen: '{host}' can be reached from elsewhere: say --public, or listen on 127.0.0.1")
    if base_path and not (base_path.startswith("/") and base_path.isascii() and base_path.isprintable()):
        raise UsageError(f"--base-path: expected a path such as /bench, found '{base_path}'")
    ready = listening.ready_file(ready_file)
    app = _app(home, index, base_path)
    with _listener(host, port) as listener, listening.announced(ready):
        url = listening.url(host, listener.getsockname()[1]) + base_path.rstrip("/")
        app.state.site.refresh(say)

        def announce() -> None:
            listening.write(ready, {"url": url})
            say(f"serving on {url}/")

        from benchproof.sandboxd import server
        from benchproof.sandboxd.limits import Limits

        server.serve(app, listener, Limits(), announce)
    return 0


def _app(home: Path, index: str | None, base_path: str) -> Any:
    """Raises UsageError where a library is missing."""
    try:
        from benchproof.web import app
    except ModuleNotFoundError as error:
        raise UsageError(f"the dashboard needs {error.name}: pip install 'benchproof[dashboard]'") from error
    return app.create(home, index=index, base_path=base_path)


def _listener(host: str, port: int) -> socket.socket:
    from benchproof.sandboxd import server

    try:
        return server.listening(host, port)
    except OSError as error:
        raise UsageError(f"--listen: cannot listen on {host}:{port}: {error.strerror}") from error
