"""`benchproof serve`."""

from __future__ import annotations

import re
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
  benchproof serve --readers token                         only for those with a token of scope read
  benchproof serve --allow-host bench.example.org          behind a proxy that has it at https://bench.example.org
  benchproof serve --base-path /bench                      behind a proxy that has it at https://example.org/bench
"""

_PATH = r"(/(?!\.{1,2}(/|$))[A-Za-z0-9_.~-]+)*/?"  # no `//host`, which is a link to elsewhere
_READERS = "token: the pages are for those with a token of scope read (`benchproof token`)."


@click.command("serve", epilog=_EPILOG)
@click.option("--listen", default="127.0.0.1:8321", show_default=True, metavar="HOST:PORT", help="Port 0: any.")
@click.option("--public", is_flag=True, help="Listen where others reach it: whoever does reads every run.")
@click.option("--base-path", default="", metavar="/PATH", help="Where a proxy puts it.")
@click.option("--readers", type=click.Choice(["anyone", "token"]), default="anyone", show_default=True, help=_READERS)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name by which it may be asked, too.")
@click.option("--upload-limit", default="64 MiB", show_default=True, metavar="SIZE", help="Of a packed run.")
@click.option("--ready-file", metavar="FILE", help="Written when it serves: JSON with url and pid.")
@index_option
@home_option
def command(
    *,
    listen: str,
    public: bool,
    base_path: str,
    readers: str,
    hosts: tuple[str, ...],
    upload_limit: str,
    ready_file: str | None,
    index: str | None,
    home: Path,
) -> int:
    """Show runs, comparisons, trends and gates as pages for a browser. It reads, and changes no run.

    Runs come in by `benchproof upload`, from who has a token of scope upload.

    SIGTERM and Ctrl-C end it with exit status 0. Needs the extra `dashboard`.
    """
    from benchproof import listening

    host, port = listening.address(listen)
    listening.refuse_reachable(host, public=public)
    if not re.fullmatch(_PATH, base_path):
        raise UsageError(f"--base-path: expected a path such as /bench, found '{base_path}'")
    ready = listening.ready_file(ready_file)
    app = _app(home, index, base_path, upload_limit)
    with _listener(host, port) as listener, listening.announced(ready):
        url = listening.url(host, listener.getsockname()[1]) + base_path.rstrip("/")
        app.state.site.refresh(say)

        def announce() -> None:
            listening.write(ready, {"url": url})
            say(f"serving on {url}/")

        from benchproof.sandboxd import server
        from benchproof.sandboxd.limits import Limits

        server.serve(_guarded(app, home, _hosts(host, hosts), readers), listener, Limits(), announce)
    return 0


def _app(home: Path, index: str | None, base_path: str, upload_limit: str) -> Any:
    """Raises UsageError where a library is missing."""
    try:
        from benchproof.web import app, uploads
    except ModuleNotFoundError as error:
        raise UsageError(f"the dashboard needs {error.name}: pip install 'benchproof[dashboard]'") from error
    from benchproof.quantities import Size
    from benchproof.web.tokens import Tokens

    try:
        limits = uploads.limits(Size.parse(upload_limit))
    except ValueError as error:
        raise UsageError(f"--upload-limit: {error}") from error
    tokens = Tokens(home)
    if tokens.all():  # who has made one waits for the first run
        (home / "runs").mkdir(exist_ok=True)
    return app.create(home, index=index, uploads=tokens, limits=limits, base_path=base_path)


def _guarded(app: Any, home: Path, hosts: tuple[str, ...], readers: str) -> Any:
    from benchproof.web.headers import Door, Guarded
    from benchproof.web.tokens import Tokens

    door = Door(hosts=hosts, base_path=app.state.site.base_path)
    return Guarded(app, door, Tokens(home) if readers == "token" else None)


def _hosts(host: str, also: tuple[str, ...]) -> tuple[str, ...]:
    """Names by which it may be asked; none: any, where others reach it and no name was given."""
    from benchproof import listening
    from benchproof.web.headers import LOOPBACK

    names = tuple(name.lower() for name in also)
    return (*LOOPBACK, host, *names) if names or listening.is_loopback(host) else ()


def _listener(host: str, port: int) -> socket.socket:
    from benchproof.sandboxd import server

    try:
        return server.listening(host, port)
    except OSError as error:
        raise UsageError(f"--listen: cannot listen on {host}:{port}: {error.strerror}; port 0 is any") from error
