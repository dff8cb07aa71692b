"""`benchproof publish`."""

from __future__ import annotations

from pathlib import Path

import click

from benchproof.cli import find_run, home_option, json_option

_EPILOG = """\b
Examples:
  benchproof run --plan sandbox-gates && benchproof publish --version 0.16.1
  benchproof publish last --version 0.16.1 --into benchmarks --page docs/results.md
"""


@click.command("publish", epilog=_EPILOG)
@click.argument("run", default="last")
@click.option("--version", required=True, help="Of what was measured, as its makers call it: 0.16.1.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path("benchmarks"),
    show_default=True,
    help="Folder for SUITE/data_VERSION.json.",
)
@click.option("--page", type=click.Path(path_type=Path), help="Make this Markdown page of all releases anew.")
@home_option
@json_option
def command(*, run: str, version: str, into: Path, page: Path | None, home: Path, as_json: bool) -> int:
    """Keep a run's figures as files for committing, a suite a file, and make the results page of all releases.

    A version is written once; the run itself is the evidence and stays where it is.
    """
    import msgspec

    from benchproof import releases, report, results_page
    from benchproof.store import bundle

    loaded = bundle.load_sealed(find_run(home, run))
    written = releases.write(releases.of(loaded, report.build(loaded), version), into)
    if page is not None:
        releases.replace(page, results_page.render(releases.read(into)).encode())
    if as_json:
        files = [{"file": str(path), "new": new} for path, new in written]
        document = {"files": files, "page": str(page) if page else None}
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=1).decode())
        return 0
    for path, new in written:
        click.echo(f"{path}: {'written' if new else 'there already, the same'}")
    if page is not None:
        click.echo(f"{page}: made anew")
    return 0
