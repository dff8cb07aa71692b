"""What the Tab key offers where the answer depends on this machine: runs, plans, targets, benchmarks, formats.

An option or an argument is known by its name, so that a verb says nothing of completion. Whatever goes wrong offers
nothing: a shell is no place for an error that nobody asked for. Verdicts, files and folders are click's own business.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

_MOST = 200  # names; who has more runs types a letter first
_MOST_BYTES = 4 << 20  # of a manifest, of which the plan's targets are read


def teach(verb: str, command: click.Command) -> None:
    """Let the parameters of a verb complete what this machine has."""
    for each in command.params:
        names = _OFFERED.get((verb, each.name or "")) or _OFFERED.get(("", each.name or ""))
        if names is not None:
            each.shell_complete = _completing(names)  # type: ignore[method-assign, assignment]


def _completing(
    names: Callable[[click.Context], Iterable[str]],
) -> Callable[[click.Context, str], list[CompletionItem]]:
    """Those that begin so; after a comma, the next of a list."""

    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        done, comma, begun = incomplete.rpartition(",") if names in _LISTS else ("", "", incomplete)
        found: list[CompletionItem] = []
        with contextlib.suppress(Exception):  # see above
            alike = (name for name in dict.fromkeys(names(ctx)) if name.startswith(begun) and name.isprintable())
            found = [CompletionItem(f"{done}{comma}{name}") for name, _ in zip(alike, range(_MOST), strict=False)]
        return found or ([CompletionItem(incomplete, type="file")] if names in _FILES else [])

    return complete


def _home(ctx: click.Context) -> Path:
    return Path(ctx.params.get("home") or os.environ.get("BENCHPROOF_HOME") or ".benchproof")


def _runs(ctx: click.Context) -> Iterator[str]:
    yield "last"
    yield from sorted((each.name for each in (_home(ctx) / "runs").iterdir() if each.is_dir()), reverse=True)


def _baselines(ctx: click.Context) -> Iterator[str]:
    yield "reference"
    yield from _runs(ctx)


def _document(ctx: click.Context) -> dict[str, Any]:
    from benchproof.document import DEFAULT, document_of

    return document_of(Path(ctx.params.get("plan_file") or DEFAULT))


def _targets(ctx: click.Context) -> Iterable[str]:
    """Of the plan."""
    return dict(_document(ctx)["targets"])


def _measured(ctx: click.Context) -> Iterator[str]:
    """Targets of the run that was named, or of the last one."""
    from benchproof.cli import find_run

    path = find_run(_home(ctx), ctx.params.get("base") or "last") / "manifest.json"
    if path.stat().st_size <= _MOST_BYTES:
        yield from json.loads(path.read_bytes())["plan"]["targets"]


def _benchmarks(ctx: click.Context) -> Iterator[str]:
    from benchproof.benchmarks import BENCHMARKS, SUITES

    yield from BENCHMARKS.names()
    yield from SUITES
    yield from _document(ctx).get("suites", {})


def _plans(ctx: click.Context) -> Iterator[str]:
    from benchproof.document import plans

    del ctx
    yield from plans()
    yield from _documents()


def _policies(ctx: click.Context) -> Iterator[str]:
    from benchproof.document import policies

    del ctx
    yield from policies()
    yield from _documents()


def _documents() -> Iterator[str]:
    return (each.name for each in sorted(Path().glob("*.toml")))


def _formats(ctx: click.Context) -> list[str]:
    from benchproof.reporters import FORMATS

    del ctx
    return FORMATS.names()


def _imported_formats(ctx: click.Context) -> list[str]:
    from benchproof.importers import FORMATS

    del ctx
    return FORMATS.names()


def _facets(ctx: click.Context) -> Iterable[str]:
    from benchproof.envelope import FACETS

    del ctx
    return FACETS


_OFFERED: dict[tuple[str, str], Callable[[click.Context], Iterable[str]]] = {  # (verb, or all; parameter)
    ("", "run"): _runs,
    ("", "runs"): _runs,
    ("run", "resume"): _runs,
    ("compare", "base"): _runs,
    ("compare", "new"): _runs,
    ("compare", "targets"): _measured,
    ("compare", "vary"): _facets,
    ("", "targets"): _targets,
    ("", "benchmarks"): _benchmarks,
    ("explain", "benchmark"): _benchmarks,
    ("bisect", "benchmark"): _benchmarks,
    ("trend", "what"): _benchmarks,
    ("", "plan_file"): _plans,
    ("", "policy_file"): _policies,
    ("", "baseline"): _baselines,
    ("report", "form"): _formats,
    ("import", "form"): _imported_formats,
}
_LISTS = (_targets, _measured, _facets)
_FILES = (_plans, _policies)
