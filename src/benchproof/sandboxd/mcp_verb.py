"""`benchproof-sandboxd mcp`: the tools of a daemon that runs, on standard streams."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from benchproof.errors import NotSupported
from benchproof.model import Frozen
from benchproof.sandboxd.daemon import token_of

_TIMEOUT_S = 3700.0  # longer than the longest command


class _Remote(Frozen, frozen=True):
    """What a relay speaks to."""

    mcp: str
    headers: dict[str, str]
    stdio: tuple[str, ...] = ()


@click.command("mcp", help="Speak MCP on standard input and output for a daemon that runs.")
@click.option("--url", required=True, metavar="URL", help="Of the daemon, as it said when it was ready.")
@click.option("--token-file", metavar="FILE", help="A file with the token that every request must carry.")
def command(url: str, token_file: str | None) -> None:
    """Until standard input ends."""
    try:
        import anyio  # noqa: PLC0415 - what is missing is said in a line

        from benchproof.sandboxd import mcp_server  # noqa: PLC0415
        from benchproof.service.mcp_client import told  # noqa: PLC0415
    except ModuleNotFoundError as error:
        words = f"MCP needs the package '{error.name}'"
        raise NotSupported(words, missing="pip install 'benchproof[sandbox]'") from error
    headers = {"authorization": f"Bearer {token_of(Path(token_file))}"} if token_file else {}
    service = _Remote(f"{url.rstrip('/')}/mcp", headers)
    mcp_server.quiet()
    with told(f"relay to '{url}'"):
        anyio.run(functools.partial(mcp_server.relay, service, timeout_s=_TIMEOUT_S))
