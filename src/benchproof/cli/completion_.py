"""`benchproof completion`."""

from __future__ import annotations

import click

from benchproof.cli import COMPLETING, benchproof, json_option, print_json

_EPILOG = """\b
Examples:
  benchproof completion bash > ~/.local/share/bash-completion/completions/benchproof
  benchproof completion zsh > ~/.zfunc/_benchproof     with fpath+=~/.zfunc before compinit in ~/.zshrc
  benchproof completion fish > ~/.config/fish/completions/benchproof.fish
"""


@click.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def command(*, shell: str, as_json: bool) -> int:
    """Print the script with which a shell completes verbs, options, runs, plans, targets, benchmarks and formats."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(benchproof, {}, "benchproof", COMPLETING).source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
    return 0
