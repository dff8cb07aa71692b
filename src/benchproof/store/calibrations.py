"""What A/A studies found on this machine, kept under the home folder, and which of it holds for a run to come.

A floor is used only where the facts behind it are those of the run: host, machine, probe and authority, and of the
system its kind and how it starts. The system itself may be another build: it is what is compared, while noise comes
from what it runs on. What does not fit is not used, and that is said.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchproof.analysis.calibrate import FORMAT, Calibrated, Calibration, Floor, Study, floor_for
from benchproof.errors import StoreError
from benchproof.model import Envelope
from benchproof.store import files

STALE = timedelta(days=30)
_SECTIONS = ("host", "machine", "probe", "authority")
_OF_THE_SYSTEM = ("kind", "start")  # the rest of the system may change: its noise is that of its kind
_FOLDER = "calibrations"


def write(home: Path, calibration: Calibration) -> Path:
    """Keep it; returns where. Raises StoreError."""
    path = home / _FOLDER / f"{calibration.run_id}.json"
    content = msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n"
    files.replace(path, content, remedy="name another folder with --home")
    return path


def load(path: Path) -> Calibration:
    """Raises StoreError for what is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would be waited for without end
            raise StoreError(f"'{path}' is no calibration: not a regular file; remove it")
        found = msgspec.json.decode(path.read_bytes(), type=Calibration)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"'{path}' is no calibration: {error}; remove it and calibrate again") from error
    if found.format != FORMAT:
        raise StoreError(f"'{path}': expected format {FORMAT}, found {found.format}; calibrate again")
    return found


def known(home: Path) -> list[Calibration]:
    """All that is kept, the latest last."""
    return sorted((load(path) for path in (home / _FOLDER).glob("*.json")), key=lambda each: each.created_at)


def find(home: Path, envelopes: Mapping[str, Envelope], *, blocks: int, now: datetime | None = None) -> Calibrated:
    """The floors that hold for these targets, comparing so many blocks, the latest of each; and what to know of them.

    `blocks`: of the first look of the run, or of all. Raises StoreError for a damaged calibration.
    """
    kept = known(home)
    floors: list[Floor] = []
    notes: list[str] = []
    for target, envelope in envelopes.items():
        fitting = [each for each in kept if not mismatches(each.envelope, envelope)]
        latest = {_key(each): each for calibration in fitting for each in _floors(calibration, target, blocks)}
        unchanged = [
            each for each in fitting if each.envelope.sections.get("system") == envelope.sections.get("system")
        ]
        floors += [
            msgspec.structs.replace(each, floor_apart=_apart(key, each.floor_apart, unchanged))
            for key, each in latest.items()
        ]
        notes += _notes(target, envelope, kept, fitting, now or datetime.now(UTC))
    return Calibrated(floors=tuple(floors), notes=tuple(notes))


def mismatches(calibrated: Envelope, envelope: Envelope) -> list[str]:
    """The facts for which a floor that was measured there does not hold here."""
    return [
        f"{section}.{fact}"
        for section in _SECTIONS
        for before, after in [(calibrated.sections.get(section, {}), envelope.sections.get(section, {}))]
        for fact in sorted(before.keys() | after.keys())
        if before.get(fact) != after.get(fact) and not fact.endswith("_reason")
    ] + [f"system.{fact}" for fact in _OF_THE_SYSTEM if _system(calibrated).get(fact) != _system(envelope).get(fact)]


def _kind(envelope: Envelope) -> str | None:
    return _system(envelope).get("kind")


def _system(envelope: Envelope) -> dict[str, str]:
    return envelope.sections.get("system", {})


def _key(of: Study | Floor) -> tuple[str, bytes, str]:
    return of.benchmark, msgspec.json.encode(of.parameters, order="sorted"), of.metric


def _apart(key: tuple[str, bytes, str], latest: float | None, unchanged: list[Calibration]) -> float | None:
    """What drift did within a study, or to the same system from one study to another where that is more."""
    medians = [study.median for each in unchanged for study in each.studies if _key(study) == key and study.median]
    between = max(medians) / min(medians) - 1 if medians and min(medians) > 0 else 0.0
    return latest if latest is None else max(latest, between)


def _floors(calibration: Calibration, target: str, blocks: int) -> Iterator[Floor]:
    for study in calibration.studies:
        share = floor_for(study.floors, blocks)
        if share is not None:
            yield Floor(
                target=target,
                benchmark=study.benchmark,
                parameters=study.parameters,
                metric=study.metric,
                blocks=max(length for length in study.floors if length <= blocks),
                floor=share,
                floor_apart=study.floor_apart,
                run_id=calibration.run_id,
                measured_at=calibration.created_at,
            )


def _notes(
    target: str, envelope: Envelope, kept: list[Calibration], fitting: list[Calibration], now: datetime
) -> Iterator[str]:
    alike = [each for each in kept if _kind(each.envelope) == _kind(envelope)]
    if alike and not fitting:
        facts = mismatches(alike[-1].envelope, envelope)
        shown = ", ".join(facts[:3]) + (f" and {len(facts) - 3} more" if len(facts) > 3 else "")
        yield f"A/A floors of '{target}' are not used, they were measured where {shown} differed: benchproof calibrate"
    if fitting and (age := now - datetime.fromisoformat(fitting[-1].created_at)) > STALE:
        yield f"the A/A floors of '{target}' are {age.days} days old: benchproof calibrate"
