"""`benchproof publish`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import find_run, home_option, json_option, print_json, say
from benchproof.errors import UsageError

if TYPE_CHECKING:
    from benchproof.releases import Release
    from benchproof.results_page import Picture

_EPILOG = """\b
Examples:
  benchproof run --plan sandbox-gates && benchproof publish --version 0.16.1
  benchproof publish last --version 0.16.1 --into benchmarks --page docs/results.md --badges docs/badges
  benchproof publish --version 0.16.1 --page docs/results.md --evidence-url 'https://ci.example.org/runs/{run_id}/{path}'
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
@click.option(
    "--badges",
    "badge_folder",
    type=click.Path(path_type=Path),
    help="With --page: folder for a badge for each gate of the latest releases, shown on the page.",
)
@click.option(
    "--document",
    multiple=True,
    metavar="NAME=TEXT",
    help="At the head of the page: title, status, maintainer or issue; else the plan's [document], else labels.",
)
@click.option(
    "--evidence-url",
    default="",
    metavar="TEMPLATE",
    help="Where the run's files can be had, such as https://example.org/{run_id}/{path}: the page links to them.",
)
@home_option
@json_option
def command(
    *,
    run: str,
    version: str,
    into: Path,
    page: Path | None,
    badge_folder: Path | None,
    document: tuple[str, ...],
    evidence_url: str,
    home: Path,
    as_json: bool,
) -> int:
    """Keep a run's figures as files for committing, a suite a file, and make the results page of all releases.

    A version is written once; the run itself is the evidence and stays where it is.
    """
    from benchproof import heading, labels, releases, report
    from benchproof.store import bundle

    if badge_folder is not None and page is None:
        raise UsageError("--badges: expected --page beside it, which shows them; `benchproof badge` makes them alone")
    loaded = bundle.load_sealed(find_run(home, run))
    found = releases.of(loaded, report.build(loaded), version, said=heading.given(document), evidence_url=evidence_url)
    written = releases.write(found, into)
    if page is not None:
        _make(page, badge_folder, into)
    if home.is_dir() and labels.kept(home):
        say(f"git keeps '{home}': runs are evidence, large and no source; add it to .gitignore, commit '{into}'")
    if as_json:
        files = [{"file": str(path), "new": new} for path, new in written]
        told = {"files": files, "page": str(page) if page else None}
        print_json(told)
        return 0
    for path, new in written:
        click.echo(f"{path}: {'written' if new else 'there already, the same'}")
    if page is not None:
        click.echo(f"{page}: made anew")
    return 0


def _make(page: Path, badge_folder: Path | None, into: Path) -> None:
    from benchproof import releases, results_page

    known = releases.read(into)
    pictures = _pictures(known, page, badge_folder) if badge_folder else {}
    releases.replace(page, results_page.render(known, pictures).encode())


def _pictures(known: list[Release], page: Path, folder: Path) -> dict[str, list[Picture]]:
    """By suite, the badges of its latest release: what each says, and where it is, seen from the page."""
    import os
    from urllib.parse import quote

    from benchproof import badges, releases, results_page

    found = {suite: results_page.badges_of(some[-1]) for suite, some in releases.suites(known).items()}
    list(badges.write((badge for some in found.values() for badge in some), folder))
    path = os.path.relpath(folder, page.parent)
    return {
        suite: [(badge.title, quote(f"{path}/{badge.name}.svg")) for badge in some] for suite, some in found.items()
    }
