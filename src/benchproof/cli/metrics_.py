"""`benchproof metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchproof.cli import home_option, index_option, json_option, print_json, say

if TYPE_CHECKING:
    from benchproof.store.index import Index

_OTLP_TIMEOUT_S = 10.0
_EPILOG = """\b
Examples:
  benchproof metrics --branch main
  benchproof metrics --textfile /var/lib/node_exporter/benchproof.prom   after each run, from cron
  benchproof metrics --listen 127.0.0.1:9187                             for Prometheus to scrape
  benchproof metrics --otlp http://127.0.0.1:4318/v1/metrics             once, to a collector
"""


@click.command("metrics", epilog=_EPILOG)
@click.option("--branch", default="", help="Only runs with this label `branch`; of all branches by default.")
@click.option("--textfile", type=click.Path(path_type=Path), help="Write this file whole, in place of printing.")
@click.option("--listen", metavar="HOST:PORT", help="Serve /metrics until interrupted; there is no password.")
@click.option("--public", is_flag=True, help="Listen where others reach it: whoever does reads every figure.")
@click.option("--otlp", metavar="URL", help="Send them once to this OTLP collector (extra `telemetry`).")
@index_option
@home_option
@json_option
def command(
    *,
    branch: str,
    textfile: Path | None,
    listen: str | None,
    public: bool,
    otlp: str | None,
    index: str | None,
    home: Path,
    as_json: bool,
) -> int:
    """The newest verified figures for a monitoring system, as OpenMetrics text.

    Figures that failed, are invalid or were imported never appear. Exit status 3 if a collector does not take them.
    Needs the extra `history`.
    """
    from benchproof import history, listening
    from benchproof.errors import UsageError

    ways = [name for name, given in (("--textfile", textfile), ("--listen", listen), ("--otlp", otlp)) if given]
    if len(ways) > 1 or (ways and as_json):
        raise UsageError(f"expected one of --textfile, --listen, --otlp and --json, found {', '.join(ways)}")
    if listen:
        listening.refuse_reachable(listening.address(listen)[0], public=public)
    with history.opened(home, index) as opened:
        if listen:
            return _serve(opened, listen, branch)
        for problem in opened.update(say).problems:
            say(f"left out: {problem}")
        if branch and not any(run.labels.get("branch") == branch for run in opened.runs()):
            say(f"no run is of branch '{branch}': there are no figures; `benchproof list runs` shows what there is")
        _once(opened, branch=branch, textfile=textfile, otlp=otlp, as_json=as_json)
    return 0


def _once(opened: Index, *, branch: str, textfile: Path | None, otlp: str | None, as_json: bool) -> None:

    from benchproof import monitoring, telemetry
    from benchproof.store import files

    if otlp:
        telemetry.send(monitoring.gauges(opened, branch=branch), otlp, timeout_s=_OTLP_TIMEOUT_S)
    elif textfile:
        text = monitoring.exposition(opened, branch=branch)
        files.replace(textfile, text.encode(), remedy="name another file with --textfile")
    elif as_json:
        found = monitoring.gauges(opened, branch=branch)
        print_json(found)
    else:
        click.echo(monitoring.exposition(opened, branch=branch), nl=False)


def _serve(opened: Index, listen: str, branch: str) -> int:
    from benchproof import monitoring
    from benchproof.scrape import Page

    def made() -> str:
        opened.update()
        return monitoring.exposition(opened, branch=branch)

    with Page(listen, made, content_type=monitoring.CONTENT_TYPE) as page:
        say(f"serving {page.url}")
        page.serve_forever()
    return 0
