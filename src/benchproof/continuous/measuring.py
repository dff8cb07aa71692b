"""`benchproof ci` as library calls: what is due, both sides built and measured in turn as one run, the verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchproof import laboratory, plan, report, reruns, runner
from benchproof.analysis.matrix import Report
from benchproof.checkouts import around
from benchproof.continuous import changes, judging, sides
from benchproof.continuous.building import BuildFailed, build
from benchproof.continuous.changes import Change
from benchproof.continuous.sides import BASE, HEAD, Side
from benchproof.document import document_of
from benchproof.errors import BenchproofError, UsageError
from benchproof.labels import SOURCE
from benchproof.model import Frozen
from benchproof.policy import Policy
from benchproof.probe import Probe
from benchproof.reruns import Choice
from benchproof.runner import Progress
from benchproof.store import bundle


class Request(Frozen, frozen=True, kw_only=True):
    """What the user said. `folders` and `settings`: of the base and of the head."""

    base: str = ""
    head: str = "HEAD"
    build: str = ""
    build_timeout_s: float = 3600.0
    folders: tuple[str, ...] = ()
    settings: tuple[dict[str, Any], dict[str, Any]] = msgspec.field(default_factory=lambda: ({}, {}))
    paths: tuple[str, ...] = ()
    release: bool = False
    exact: bool = False
    changes: dict[str, Any] = msgspec.field(default_factory=dict)


class Asked(Frozen, frozen=True, kw_only=True):
    """What is to be done. `change` is None where no commit is known: two folders, two settings."""

    where: str
    document: dict[str, Any]  # of the plan, with what is due alone
    choices: tuple[Choice, ...]
    change: Change | None
    request: Request

    @property
    def due(self) -> tuple[str, ...]:
        """The benchmarks that are measured."""
        return tuple(each.name for each in self.choices if each.due)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Those that are not."""
        return tuple(each.name for each in self.choices if not each.due)


class Measured(Frozen, frozen=True, kw_only=True):
    """The run. `names`: target of the plan -> what its head is called."""

    path: Path
    names: dict[str, str]
    left_out: tuple[str, ...]


class Verdict(Frozen, frozen=True):
    """What came of it, as the exit status has it."""

    report: Report
    status: int


class HeadFailed(BenchproofError):  # noqa: N818 - the standard word for it
    """The head does not even build: a bad answer."""


def asked(
    path: Path, targets: tuple[str, ...], benchmarks: tuple[str, ...], request: Request, environment: Mapping[str, str]
) -> Asked:
    """What a change asks of a plan. Raises UsageError."""
    document = document_of(path)
    change = _change(request, environment, needed=bool(request.build))
    choices = reruns.choices(
        document,
        benchmarks,
        where=path.name,
        paths=request.paths,
        changed=change.files if change else None,
        everything=changes.release(environment, said=request.release),
    )
    due = tuple(each.name for each in choices if each.due)
    narrowed = benchmarks if len(due) == len(choices) else due  # as the plan asks them, where nothing is left out
    return Asked(
        where=path.name,
        document=plan.only(document, targets=targets, benchmarks=narrowed),
        choices=choices,
        change=change,
        request=request,
    )


def _change(request: Request, environment: Mapping[str, str], *, needed: bool) -> Change | None:
    """The commits; outside of a repository what is built already can still be measured."""
    try:
        return changes.of(around(Path.cwd()), request.base, request.head, environment)
    except UsageError:
        if needed or request.base:
            raise
        return None


def measured(asked: Asked, home: Path, probe: Probe, progress: Progress, labels: Mapping[str, str]) -> Measured:
    """Both sides in one run, interleaved. Raises HeadFailed, BuildFailed, UsageError."""
    request = asked.request
    two = _sides(asked, request.folders or ((BASE, HEAD) if request.build else ("", "")))
    plan.parse(two.document, where=asked.where, recorded=True, **request.changes)  # nonsense is told before a build
    for name in two.left_out:
        why = "it cannot count, or " if request.exact else ""
        progress.note(f"target '{name}' is left out: {why}both sides are the same")
    with laboratory.interruptible(), _folders(asked, home, probe, progress) as folders:
        wanted = plan.parse(_sides(asked, folders).document, where=asked.where, **request.changes)
        path = run(wanted, home, probe, progress, _labels(asked, labels))
    return Measured(path=path, names=two.names, left_out=two.left_out)


def _sides(asked: Asked, folders: tuple[str, ...]) -> sides.TwoSided:
    base, head = (
        Side(name=name, settings=settings, folder=folder)
        for name, settings, folder in zip((BASE, HEAD), asked.request.settings, folders, strict=True)
    )
    two = sides.two_sided(asked.document, base, head, asked.where)
    return _counted(two) if asked.request.exact else two


def _counted(two: sides.TwoSided) -> sides.TwoSided:
    """The targets that can count instructions alone. Raises UsageError where none can."""
    document, _ = plan.counted(two.document)
    kept = plan.only(document, targets=tuple(document["targets"]), benchmarks=())
    names = {name: head for name, head in two.names.items() if head in document["targets"]}
    return sides.TwoSided(kept, names, (*two.left_out, *(name for name in two.names if name not in names)))


def run(wanted: plan.Plan, home: Path, probe: Probe, progress: Progress, labels: Mapping[str, str]) -> Path:
    """Measure a plan to its end; where the run is."""
    with runner.begin(wanted, home, probe, progress, labels) as session:
        for _ in session.run():
            pass
        session.close()
    return session.out.path


def verdict(found: Measured, asked: Asked, policy: Policy | None) -> Verdict:
    """May the head be merged? Raises UsageError where the policy makes no sense of the run."""
    done = bundle.load_sealed(found.path)
    if policy is None:
        made = report.build(done)
    else:
        made = judging.judged(done, policy, found.names, gone=(*found.left_out, *asked.skipped))
    return Verdict(made, judging.status(made))


@contextlib.contextmanager
def _folders(asked: Asked, home: Path, probe: Probe, progress: Progress) -> Iterator[tuple[str, str]]:
    """Those of base and head, built; empty where only settings differ."""
    request, change = asked.request, asked.change
    if not request.build:
        first, second = request.folders or ("", "")
        yield first, second
        return
    assert change is not None  # else it was refused
    with contextlib.ExitStack() as stack:
        made = []
        for name, commit in ((BASE, change.base), (HEAD, change.head)):
            folder = stack.enter_context(change.repository.checked_out(commit, name))
            progress.note(f"building {name} ({commit[:12]})")
            log = home / "builds" / f"{commit[:12]}.txt"
            try:
                build(request.build, folder, supervisor=probe.path, timeout_s=request.build_timeout_s, log=log)
            except BuildFailed as error:
                message = f"{name} ({commit[:12]}): {error}"
                raise (HeadFailed if name == HEAD else BuildFailed)(message) from error
            made.append(str(folder))
        yield made[0], made[1]


def _labels(asked: Asked, labels: Mapping[str, str]) -> dict[str, str]:
    """What is measured is the head, whatever commit CI made of it; against which base is a word of ours.

    Where only settings differ, both sides are of one commit.
    """
    change = asked.change
    if change is None or not (asked.request.build or asked.request.folders):
        return dict(labels)
    kept = {key: text for key, text in labels.items() if key not in {SOURCE[0], "dirty"}}
    return kept | {"commit": change.head, "base": change.base}
