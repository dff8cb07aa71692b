"""The console script `benchproof-sandboxd`, also as `python -m benchproof.sandboxd`."""

from __future__ import annotations

import importlib

import click

from benchproof import __version__
from benchproof.complaints import complained

_VERBS = {  # verb -> module whose `command` it is
    "mcp": "benchproof.sandboxd.mcp_verb",
    "calls": "benchproof.sandboxd.calls_verb",
}


class _Daemon(click.Group):
    """Without a verb it serves."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(_VERBS[cmd_name]).command
        return command


@click.group(cls=_Daemon, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="benchproof-sandboxd")
@click.option(
    "--listen", default="127.0.0.1:19222", show_default=True, metavar="HOST:PORT", help="Port 0: any that is free."
)
@click.option("--backend", metavar="KIND", help="qemu (the default), gvisor or bwrap, with usual settings.")
@click.option("--plan", metavar="FILE", help="A plan that has a target to make sandboxes of.")
@click.option("--target", metavar="NAME", help="Which target of the plan, if it has several.")
@click.option("--pool", default=0, show_default=True, metavar="N", help="Sandboxes that are kept ready.")
@click.option("--state", metavar="DIR", help="Where records of calls are kept [default: of this run alone].")
@click.option("--token-file", metavar="FILE", help="A file with the token that every request must carry.")
@click.option("--ready-file", metavar="FILE", help="Written when the daemon serves: JSON with url, mcp and pid.")
@click.option("--max-sandboxes", default=128, show_default=True, metavar="N")
@click.option("--max-provisions", default=4, show_default=True, metavar="N", help="Under way at once.")
@click.option("--max-waiting", default=64, show_default=True, metavar="N", help="Provisions that wait for that.")
@click.option("--max-body", default=16 << 20, show_default=True, metavar="BYTES")
@click.option("--max-output", default=16 << 20, show_default=True, metavar="BYTES", help="Of one stream of a command.")
@click.option("--max-exec", default=600.0, show_default=True, metavar="SECONDS", help="The longest time of a command.")
@click.option("--patience", default=10.0, show_default=True, metavar="SECONDS", help="With clients slow to ask.")
@click.option("--quiet", is_flag=True, help="Log no requests, only its beginning, its end and warnings.")
@click.pass_context
def sandboxd(ctx: click.Context, /, **given: str | float | bool | None) -> None:
    """A small sandbox service, over HTTP and MCP, on benchproof's own targets.

    It listens on loopback addresses alone, unless every request has to carry a token. SIGTERM ends it and all its
    sandboxes; then its exit status is 0, and 1 if anything is left.
    """
    if ctx.invoked_subcommand is None:
        from benchproof.sandboxd.daemon import serve  # noqa: PLC0415 - other verbs need less

        ctx.exit(serve(given))


def main() -> None:
    """Expected errors are one line on standard error."""
    complained(lambda: sandboxd.main(standalone_mode=False), program="benchproof-sandboxd")


if __name__ == "__main__":
    main()
