"""`benchproof upload`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import find_run, home_option, json_option, print_json, say

_EPILOG = """\b
Examples:
  benchproof upload last --to https://bench.example.org --token-file upload.token
  benchproof run && benchproof upload --to http://127.0.0.1:8484 --token-file upload.token
"""


@click.command("upload", epilog=_EPILOG)
@click.argument("run", default="last")
@click.option("--to", "url", required=True, metavar="URL", help="Where `benchproof serve` is, with its base path.")
@click.option(
    "--token-file",
    required=True,
    envvar="BENCHPROOF_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="A file with a token of scope upload [env: BENCHPROOF_TOKEN_FILE].",
)
@click.option("--plain", is_flag=True, help="Send the token over plain HTTP, where everybody on the way can read it.")
@home_option
@json_option
def command(*, run: str, url: str, token_file: Path, plain: bool, home: Path, as_json: bool) -> int:
    """Send a complete run to a dashboard, which verifies it before it keeps it.

    Sending a run twice does nothing. Exit status 1 if it was refused; the line says why.
    """
    from benchproof.web import sending

    sent = sending.send(find_run(home, run), url, sending.token_in(token_file), plain=plain, say=say)
    if as_json:
        print_json(sent)
    elif sent.status != "refused":
        click.echo(f"{sent.run_id}: {sent.status}")
    if words := sending.refusal(sent):
        say(words)
    return 1 if sent.status == "refused" else 0
