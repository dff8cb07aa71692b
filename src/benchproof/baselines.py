"""Which stored run another is held against, named by what it measured.

    last            the newest run
    branch:main     the newest run of a branch
    commit:1a2b3c   of a commit, by the beginning of its name
    tag:v1          of a tag
    run:ID          of that id, by its beginning

Only a complete run with verified results can be one: what was imported, and what was cut short, is shown but never held
against anything. A run of a work tree with changes is of no commit, branch or tag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchproof.errors import UsageError
from benchproof.history import opened

if TYPE_CHECKING:
    from benchproof.store.index import Known


def _silent(line: str) -> None:
    del line


KINDS = ("last", "branch:", "commit:", "tag:", "run:")
_SHOWN = 5


def is_spec(text: str) -> bool:
    """Whether it names a baseline by what was measured, and is not the folder or id of a run."""
    return text == "last" or text.startswith(KINDS[1:])


def baseline(
    spec: str, *, home: Path, index: str | None = None, but_not: str = "", say: Callable[[str], None] = _silent
) -> Path:
    """The folder of the run that `spec` names; `but_not`: the id of the run that is to be compared with it.

    `say` is told of each run that was left out, since one of them may be the newest.

    Brings the index up to date first. Raises UsageError that says what there is.
    """
    kind, _, word = spec.partition(":")
    if not is_spec(spec) or (kind != "last" and not word):
        raise UsageError(
            f"expected a baseline such as branch:main, commit:1a2b3c, tag:v1, run:ID or last, found '{spec}'"
        )
    with opened(home, index) as found:
        for problem in found.update().problems:
            say(f"left out: {problem}")
        runs = [run for run in found.runs() if run.path and run.run_id != but_not]
    named = [run for run in runs if _is_named(run, kind, word)]
    fit = [run for run in named if not _why_not(run, kind)]
    if not fit:
        raise UsageError(_nothing(spec, kind, runs, named))
    _refuse_several(spec, kind, fit)
    newest = fit[-1].path
    assert newest
    return newest


def _is_named(run: Known, kind: str, word: str) -> bool:
    match kind:
        case "last":
            return True
        case "run":
            return run.run_id.startswith(word)
        case "commit":
            return run.labels.get("commit", "").startswith(word)
        case _:
            return run.labels.get(kind) == word


def _why_not(run: Known, kind: str) -> str:
    if run.state != "complete":
        return "not complete"
    if not run.verified:
        return "without verified results"
    return "of a work tree with changes" if kind in {"branch", "commit", "tag"} and run.labels.get("dirty") else ""


def _nothing(spec: str, kind: str, runs: Sequence[Known], named: Sequence[Known]) -> str:
    if named:
        reasons = sorted({_why_not(run, kind) for run in named})
        return f"no run is a baseline '{spec}': {len(named)} would be, but {', '.join(reasons)}"
    if kind in {"branch", "commit", "tag"}:
        words = list(dict.fromkeys(run.labels[kind] for run in reversed(runs) if run.labels.get(kind)))
        there = f"known, the newest first: {', '.join(words[:_SHOWN])}" if words else f"no run has a label '{kind}'"
        return f"no run is a baseline '{spec}'; {there}"
    return f"no run is a baseline '{spec}'; `benchproof list runs` shows what there is"


def _refuse_several(spec: str, kind: str, fit: Sequence[Known]) -> None:
    """The beginning of a name that two have names neither."""
    names = sorted({run.run_id if kind == "run" else run.labels.get("commit", "") for run in fit})
    if kind in {"run", "commit"} and len(names) > 1:
        raise UsageError(
            f"'{spec}' is the beginning of {len(names)} names: {', '.join(names[:_SHOWN])}; give more of it"
        )
