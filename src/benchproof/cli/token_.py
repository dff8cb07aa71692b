"""`benchproof token`."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchproof.cli import home_option, json_option, print_json, say
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.web.tokens import Scope, Token

_EPILOG = """\b
Examples:
  benchproof token create ci-runner-1 --scope upload > upload.token
  benchproof token create grafana --scope read --expires 30d
  benchproof token list
  benchproof token revoke ci-runner-1
"""
_LASTS = re.compile(r"(\d{1,5})\s*([dh])", re.ASCII)


@click.group("token", epilog=_EPILOG)
def command() -> None:
    """Who may send runs to `benchproof serve` of this home, or read them there. Each of these takes --json."""


@command.command("create")
@click.argument("name")
@click.option("--scope", required=True, type=click.Choice(["upload", "read"]), help="What it opens, and nothing else.")
@click.option("--expires", default="90d", show_default=True, help="Days (90d), hours (12h) or never.")
@home_option
@json_option
def _create(*, name: str, scope: Scope, expires: str, home: Path, as_json: bool) -> int:
    """Print a new token, this once: only its hash is kept."""
    from benchproof.web.tokens import Tokens

    text = Tokens(home).create(name, scope, lasts=_lasts(expires))
    _print({"name": name, "scope": scope, "token": text}, as_json=as_json, otherwise=text)
    say(f"token '{name}' opens {scope}, expires: {expires}; it is not shown again")
    return 0


@command.command("list")
@home_option
@json_option
def _list(*, home: Path, as_json: bool) -> int:
    """What there is, what it opens and when it was last used; no token can be had from it."""
    from benchproof.web.tokens import Tokens

    rows = [_row(each) for each in Tokens(home).all()]
    _print(rows, as_json=as_json, otherwise=_table(rows) if rows else "")
    return 0


@command.command("revoke")
@click.argument("name")
@home_option
@json_option
def _revoke(*, name: str, home: Path, as_json: bool) -> int:
    """It opens nothing from the next request on."""
    from benchproof.web.tokens import Tokens

    row = _row(Tokens(home).revoke(name))
    _print(row, as_json=as_json, otherwise=f"{name}: revoked {row['revoked']}")
    return 0


def _table(rows: list[dict[str, str]]) -> str:
    lines = [[name.replace("_", " ") for name in rows[0]], *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(f"{text:{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded)


def _lasts(text: str) -> timedelta | None:
    """Raises UsageError."""
    if text == "never":
        return None
    match = _LASTS.fullmatch(text)
    if not match or not int(match[1]):
        raise UsageError(f"--expires: expected days such as 90d, hours such as 12h, or never; found '{text[:40]}'")
    return timedelta(**{{"d": "days", "h": "hours"}[match[2]]: int(match[1])})


def _row(token: Token) -> dict[str, str]:
    from datetime import UTC, datetime

    times = {name: getattr(token, name) for name in ("created", "expires", "last_used", "revoked")}
    said = {name: at.isoformat(timespec="seconds")[:19] if at else "-" for name, at in times.items()}
    return {"name": token.name, "scope": token.scope, "state": token.state(datetime.now(UTC)), **said}


def _print(document: Any, *, as_json: bool, otherwise: str) -> None:
    if as_json:
        print_json(document)
    elif otherwise:
        click.echo(otherwise)
