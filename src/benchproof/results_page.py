"""The page of results that is committed beside a project's documentation, made anew from the files of its releases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchproof import badges, heading
from benchproof.analysis.gate import WORST_FIRST
from benchproof.badges import Badge
from benchproof.errors import StoreError
from benchproof.releases import Figures, Release, suites
from benchproof.reporters import layout, verdicts
from benchproof.reporters.markdown import safe
from benchproof.store.bundle import ENVELOPE, MANIFEST, RESULTS, WARMUPS

_FILES = (MANIFEST, ENVELOPE, RESULTS, WARMUPS)
_MOST_RANGES, _MOST_OF_A_TITLE = 4, 300
Picture = tuple[str, str]  # what it says, and its path from the page
_HEAD = "<!-- made by `benchproof publish`; whatever is changed here by hand is lost with the next release -->"


def render(releases: Sequence[Release], pictures: Mapping[str, Sequence[Picture]] | None = None) -> str:
    """Each suite: the latest release in full, then the medians of all of them. `pictures`: the badges of each suite."""
    lines = [_HEAD, *_document(releases)]
    for suite, found in suites(releases).items():
        lines += [f"## {safe(suite)}", "", *_shown((pictures or {}).get(suite, ())), *_latest(found[-1])]
        lines += _history(found)
    return "\n".join(lines).rstrip() + "\n"


def badges_of(release: Release) -> list[Badge]:
    """Those of its gates, and of how much of it was verified. Raises StoreError for a verdict that is none."""
    verdicts = [(each.gate, each.target, each.verdict.lower()) for each in release.gates]
    if strange := next((word for _, _, word in verdicts if word not in WORST_FIRST), None):
        raise StoreError(f"{release.suite}, {release.version}: expected the verdict of a gate, found '{strange[:60]}'")
    passed = sum(each.status == "passed" for each in release.figures)
    prefix = f"{release.suite}-"
    return [
        *badges.of_gates(verdicts, prefix=prefix),
        badges.of_coverage(passed, len(release.figures), prefix=release.suite),
    ]


def _document(releases: Sequence[Release]) -> Iterator[str]:
    """Which page this is, of when, and whose: as the newest release says it."""
    newest = max(releases, key=lambda each: (each.measured_at, each.version), default=None)
    stated = newest.document if newest else {}
    yield f"# {safe(stated.get('title', 'Results'))}"
    yield ""
    if newest is None:
        return
    told = {"version": newest.version, "last updated": newest.measured_at[:10]}
    told |= {name: stated.get(name, "not stated") for name in ("status", "maintainer", "issue")}
    yield f"| {' | '.join(told)} |"
    yield f"|{' --- |' * len(told)}"
    yield f"| {' | '.join(map(safe, told.values()))} |"
    yield ""


def _shown(pictures: Sequence[Picture]) -> Iterator[str]:
    if pictures:
        yield " ".join(f"![{safe(layout.cut(title, _MOST_OF_A_TITLE))}](<{path}>)" for title, path in pictures)
        yield ""


def _latest(release: Release) -> Iterator[str]:
    yield f"### {safe(release.version)}"
    yield ""
    source = ", ".join(f"{name} {safe(text)}" for name, text in sorted(release.labels.items()))
    yield f"{safe(release.measured_at)}, {release.blocks} blocks, run {safe(release.run_id)}" + (
        f"; {source}." if source else "."
    )
    yield ""
    for note in release.warnings:
        yield f"> **Note:** {safe(note)}"
        yield ">"
    yield ""
    yield "| operation | target | unit | min | mean | max | median | samples | status | evidence |"
    yield "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"
    for each in release.figures:
        named = (safe(_name(each, release)), safe(each.target))
        yield f"| {' | '.join((*named, *_numbers(each), _status(each), _evidence(release, each)))} |"
    yield ""
    files = ", ".join(_file(release, name, name) for name in _FILES)
    yield f"Evidence: run {safe(release.run_id)}, which `benchproof verify` computes anew: {files}."
    yield ""
    yield from _gates(release)


def _evidence(release: Release, figures: Figures) -> str:
    """The lines behind a figure, or those that say why there is none."""
    return _file(release, RESULTS, f"{RESULTS}:{_ranges(figures.lines)}") if figures.lines else ""


def _file(release: Release, name: str, words: str) -> str:
    """A link where somebody said how to make one."""
    found = heading.address(release.evidence, name) if release.evidence else ""
    return f"[{words}](<{found}>)" if found else words


def _ranges(lines: Sequence[int]) -> str:
    """`1-3,7`."""
    found: list[list[int]] = []
    for line in sorted(set(lines)):
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    shown = [f"{first}-{last}" if last > first else str(first) for first, last in found]
    return ",".join(shown[:_MOST_RANGES]) + ("..." if len(shown) > _MOST_RANGES else "")


def _numbers(figures: Figures) -> tuple[str, ...]:
    if figures.extent is None or figures.median is None:
        return ("", "", "", "", "", "")
    divisor, unit = layout.scale_of(figures.unit, figures.extent.min) if figures.unit else (1.0, "")
    extent = figures.extent
    values = (extent.min, extent.mean, extent.max, figures.median)
    return (unit, *(layout.figure(value / divisor) for value in values), str(extent.n))


def _status(figures: Figures) -> str:
    return figures.status if figures.extent else f"*{figures.status}*: {safe('; '.join(figures.notes))}"


def _name(figures: Figures, release: Release) -> str:
    """The metric, and the parameters that tell it from the others of that name."""
    same = [each.parameters for each in release.figures if each.metric == figures.metric]
    telling = (key for key, value in figures.parameters.items() if any(each.get(key) != value for each in same))
    return " ".join([figures.metric, *(f"{key}={figures.parameters[key]}" for key in telling)])


def _gates(release: Release) -> Iterator[str]:
    if release.gates:
        yield f"| {' | '.join(verdicts.HEAD)} |"
        yield f"|{' --- |' * len(verdicts.HEAD)}"
        for each in release.gates:
            yield f"| {' | '.join(safe(getattr(each, name)) for name in verdicts.HEAD)} |"
        yield ""


def _history(found: Sequence[Release]) -> Iterator[str]:
    """Medians by release. Where something else than the system changed, the line says so: it is no trend across it."""
    if len(found) < 2:
        return
    names = [(_name(each, found[-1]), each.target, each.unit) for each in found[-1].figures if each.extent]
    yield "### Every release: medians"
    yield ""
    yield f"| version | measured | {' | '.join(safe(_head(name, found[-1])) for name in names)} | beside it changed |"
    yield f"| --- | --- |{' ---: |' * len(names)} --- |"
    before: Release | None = None
    for each in found:
        cells = " | ".join(_median(each, name) for name in names)
        yield f"| {safe(each.version)} | {safe(each.measured_at[:10])} | {cells} | {_changed(before, each)} |"
        before = each
    yield ""


_Name = tuple[str, str, str | None]


def _head(name: _Name, release: Release) -> str:
    return name[0] if len(release.targets) == 1 else f"{name[0]}, {name[1]}"


def _median(release: Release, name: _Name) -> str:
    for each in release.figures:
        if (_name(each, release), each.target, each.unit) == name:
            return layout.amount(each.median, each.unit) if each.median is not None and each.unit else each.status
    return "not measured"


def _changed(before: Release | None, now: Release) -> str:
    """The sections of the envelopes that are not what they were; the system is what a release is expected to change."""
    if before is None:
        return ""
    sections = {
        section
        for target in before.targets.keys() & now.targets.keys()
        for section, found in now.targets[target].items()
        if section != "system" and before.targets[target].get(section) != found
    }
    changed = sorted(sections) + (["benchproof"] if before.benchproof != now.benchproof else [])
    return ", ".join(changed)
