"""What all runs say, as a history that is one query away. Needs SQLAlchemy.

Every row comes from the folder of a run, so all of it can be made anew from them. One database may serve many homes:
each adds, changes and removes its own runs alone. Folders that are no run to believe are named, and left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sql
from sqlalchemy.engine import Connection

from benchproof.analysis import inspired
from benchproof.analysis.inspired import Inspired
from benchproof.errors import BenchproofError, StoreError, one_line
from benchproof.model import Better, Clock, Frozen, Unit
from benchproof.store import epochs, points, told, verdicts
from benchproof.store.bundle import ENVELOPE, MANIFEST, RESULTS, WARMUPS, Run
from benchproof.store.database import (
    ANSWERS,
    ENVIRONMENTS,
    GATES,
    POINTS,
    REFUSED,
    RUNS,
    SERIES,
    SYSTEMS,
    Database,
    address,
    chunks,
    insert,
)
from benchproof.store.newest import Newest, newest
from benchproof.store.points import Value

IMPORTED = "imported"  # the harness behind values that no oracle of ours saw
_HOME_FILE = "home-id"
_HEAD = ("target", "benchmark", "parameters", "metric", "unit", "better", "clock", "environment")
_TEXTS = msgspec.json.Decoder(dict[str, str])


def _silent(_line: str) -> None:
    """For who does not watch."""


class Update(Frozen, frozen=True):
    """What an update did; `problems`: one line for each folder that is left out."""

    added: int
    removed: int
    problems: tuple[str, ...]


class Known(Frozen, frozen=True):
    """A run, as the index knows it."""

    run_id: str
    runs: Path | None  # the folder that its folder lies in; None: it lies in another home
    folder: str
    at: str  # UTC
    state: str
    verified: bool
    labels: dict[str, str]

    @property
    def path(self) -> Path | None:
        """Where it is to be read, if it lies in this home."""
        return self.runs / self.folder if self.runs else None


class Stored(Frozen, frozen=True):
    """One run's value within a series."""

    run: Known
    value: float
    n: int  # invocations
    spread: float | None
    verified: bool


class StoredSeries(Frozen, frozen=True, kw_only=True):
    """One metric of one case in one environment, in the order of time."""

    target: str
    benchmark: str
    parameters: str
    metric: str
    unit: Unit
    better: Better
    clock: Clock
    environment: dict[str, str]
    points: tuple[Stored, ...]


class Index:
    """The index of the runs in `home`: `update` or `rebuild` first, then ask. Raises StoreError and UsageError."""

    def __init__(self, home: Path, url: str | None = None) -> None:
        self._runs = home / "runs"
        self._home = _home_id(home) if self._runs.is_dir() else ""
        self._database = Database(address(home, url))
        self._series = _KnownSeries()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def update(self, progress: Callable[[str], None] = _silent) -> Update:
        """Add the runs that are new, read those again that changed, forget those that are gone."""
        with self._database.explained():
            self._database.prepare()
            there = _folders(self._runs)
            removed = self._forget(there)
            new = sorted(there.keys() - self._settled())
            if len(new) > 1:
                progress(f"index: reading {len(new)} runs")
            added = sum(self._add(folder, there[folder]) for folder in new)
            return Update(added=added, removed=removed, problems=self._problems())

    def rebuild(self, progress: Callable[[str], None] = _silent) -> Update:
        """Everything of this home anew from its folders, whatever state the index is in."""
        with self._database.explained():
            self._database.clear_unusable()
            self._database.prepare()
            self._forget({})
        return self.update(progress)

    # ---- bringing it up to date ----

    def _forget(self, there: Mapping[str, str]) -> int:
        """Runs and refusals whose folder is gone, or is not as it was read. Returns how many runs."""
        with self._database.reading() as connection:
            runs = [row for row in self._own(connection, RUNS) if there.get(row.folder) != row.signature]
            refused = [row for row in self._own(connection, REFUSED) if there.get(row.folder) != row.signature]
        if runs or refused:
            with self._database.writing() as connection:
                for numbers in chunks([row.id for row in runs]):
                    for column in (POINTS.c.run, SYSTEMS.c.run, ANSWERS.c.run, GATES.c.run, RUNS.c.id):
                        connection.execute(column.table.delete().where(column.in_(numbers)))
                self._accept(connection, [row.folder for row in refused])
        return len(runs)

    def _own(self, connection: Connection, table: sql.Table) -> Sequence[sql.Row[Any]]:
        return connection.execute(sql.select(table).where(table.c.home == self._home)).all()

    def _accept(self, connection: Connection, folders: Sequence[str]) -> None:
        for some in chunks(folders):
            connection.execute(REFUSED.delete().where(REFUSED.c.home == self._home, REFUSED.c.folder.in_(some)))

    def _settled(self) -> set[str]:
        """Folders that need not be looked at again."""
        with self._database.reading() as connection:
            return {row.folder for table in (RUNS, REFUSED) for row in self._own(connection, table)}

    def _problems(self) -> tuple[str, ...]:
        with self._database.reading() as connection:
            return tuple(sorted(row.problem for row in self._own(connection, REFUSED)))

    def _add(self, folder: str, signature: str) -> bool:
        """One run, as a whole or not at all; what cannot be believed is remembered as that, with the reason."""
        path = self._runs / folder
        try:
            run = points.read(path)
            cases, at = list(points.cases(run)), points.time_of(run)
            values, answers, gates = list(points.values(cases)), list(points.answers(cases)), verdicts.of_run(run)
        except (BenchproofError, OSError) as error:
            where = "" if folder in str(error) else f"'{path}': "
            self._refuse(folder, signature, f"{where}{error}")
            return False
        row = {
            "run_id": run.manifest.run_id,
            "home": self._home,
            "folder": folder,
            "signature": signature,
            "at": at,
            "state": run.manifest.state,
            "version": run.manifest.benchproof,
            "verified": any(value.verified for value in values),
            "branch": one_line(run.manifest.labels.get("branch", "")),
            "labels": texts(run.manifest.labels),
            "targets": msgspec.json.encode(list(dict.fromkeys(each.target for each in answers))).decode(),
            "passed": sum(each.passed for each in answers),
            "asked": sum(each.asked for each in answers),
            "statuses": f" {' '.join(sorted({each.status for each in cases}))} ",
            "gates": verdicts.worst(gates),
        }
        with self._database.writing() as connection:
            same = sql.select(RUNS.c.home, RUNS.c.folder).where(RUNS.c.run_id == run.manifest.run_id)
            other = connection.execute(same).first()
            if other is None:
                number = connection.execute(RUNS.insert().returning(RUNS.c.id), row).scalar_one()
                _insert_systems(connection, run, number)
                self._series.of(self._database.made(connection))
                new = _insert_points(connection, run, values, number, self._series.numbers)
                told.insert(connection, number, at, answers, gates)
        if other is None:
            self._series.numbers |= new  # only what is committed is remembered
        if other is not None and tuple(other) != (self._home, folder):  # else another process was quicker
            self._refuse(folder, signature, f"'{path}' is run {run.manifest.run_id} once more; it is counted once")
        return other is None

    def _refuse(self, folder: str, signature: str, problem: str) -> None:
        row = {"home": self._home, "folder": folder, "signature": signature, "problem": one_line(problem)}
        with self._database.writing() as connection:
            self._accept(connection, [folder])
            connection.execute(REFUSED.insert(), row)

    # ---- asking ----

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view, for questions that are asked elsewhere. Raises StoreError."""
        with self._database.explained(), self._database.reading() as connection:
            yield connection

    def runs(self) -> tuple[Known, ...]:
        """All runs of all homes, the newest last."""
        with self._database.explained(), self._database.reading() as connection:
            return tuple(self._known(connection).values())

    def _known(self, connection: Connection) -> dict[int, Known]:
        rows = connection.execute(sql.select(RUNS).order_by(RUNS.c.at, RUNS.c.run_id))
        return {row.id: self.known(row) for row in rows}

    def known(self, row: sql.Row[Any]) -> Known:
        """A row of the runs."""
        return Known(
            run_id=row.run_id,
            runs=self._runs if row.home == self._home else None,
            folder=row.folder,
            at=row.at,
            state=row.state,
            verified=row.verified,
            labels=_TEXTS.decode(row.labels),
        )

    def names(self) -> tuple[set[str], set[str]]:
        """Of benchmarks and metrics, and of targets."""
        columns = (SERIES.c.benchmark, SERIES.c.metric, SERIES.c.target)
        with self._database.explained(), self._database.reading() as connection:
            rows = connection.execute(sql.select(*columns).distinct()).all()
        return {name for row in rows for name in row[:2]}, {row.target for row in rows}

    def series(
        self, *, what: str = "", target: str = "", branch: str = "", among: Collection[tuple[str, str, str]] = ()
    ) -> tuple[StoredSeries, ...]:
        """The series of a benchmark or a metric, of complete runs; without a name all of them.

        `among`: only of these targets, benchmarks and metrics.
        """
        wanted = sql.select(SERIES)
        if what:
            wanted = wanted.where(sql.or_(SERIES.c.benchmark == what, SERIES.c.metric == what))
        if target:
            wanted = wanted.where(SERIES.c.target == target)
        if among:
            wanted = wanted.where(sql.tuple_(SERIES.c.target, SERIES.c.benchmark, SERIES.c.metric).in_(list(among)))
        with self._database.explained(), self._database.reading() as connection:
            heads = connection.execute(wanted.order_by(SERIES.c.id)).all()
            runs = {
                number: run
                for number, run in self._known(connection).items()
                if run.state == "complete" and (not branch or run.labels.get("branch") == branch)
            }
            environments = _environments(connection, {head.environment for head in heads})
            found = {
                number: _in_time(rows, runs)
                for numbers in chunks([head.id for head in heads])
                for number, rows in _points(connection, numbers).items()
            }
        return tuple(
            StoredSeries(
                target=head.target,
                benchmark=head.benchmark,
                parameters=head.parameters,
                metric=head.metric,
                unit=head.unit,
                better=head.better,
                clock=head.clock,
                environment=environments[head.environment],
                points=found[head.id],
            )
            for head in heads
            if found.get(head.id)
        )

    def newest(self, *, branch: str = "") -> list[Newest]:
        """The newest verified figure of each metric, without its history."""
        with self._database.explained(), self._database.reading() as connection:
            return newest(connection, branch=branch)

    def systems(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
        """What was measured, in its own words, by run id and target."""
        pairs = set(wanted)
        joined = sql.select(RUNS.c.run_id, SYSTEMS.c.target, SYSTEMS.c.facts).join(SYSTEMS, SYSTEMS.c.run == RUNS.c.id)
        with self._database.explained(), self._database.reading() as connection:
            return {
                (row.run_id, row.target): _TEXTS.decode(row.facts)
                for some in chunks(sorted({run_id for run_id, _ in pairs}))
                for row in connection.execute(joined.where(RUNS.c.run_id.in_(some)))
                if (row.run_id, row.target) in pairs
            }


# ---- rows ----


def _insert_systems(connection: Connection, run: Run, number: int) -> None:
    rows = [
        {"run": number, "target": target, "facts": texts(epochs.system_of(run.envelopes[key]))}
        for target, key in run.target_envelopes.items()
    ]
    if rows:
        connection.execute(SYSTEMS.insert(), rows)


class _KnownSeries:
    """Numbers of the series that were seen already: most runs have those of the run before."""

    def __init__(self) -> None:
        self._tables = ""
        self.numbers: dict[tuple[str, ...], int] = {}

    def of(self, tables: str) -> None:
        """Forget everything that was seen in tables that others have since replaced."""
        if tables != self._tables:
            self._tables = tables
            self.numbers.clear()


def _insert_points(
    connection: Connection, run: Run, values: Sequence[Value], number: int, known: Mapping[tuple[str, ...], int]
) -> dict[tuple[str, ...], int]:
    """Returns the numbers of the series that were not known before."""
    heads = list(_heads(connection, run, values))
    new = _insert_series(connection, [head for head in heads if head not in known])
    numbers = {**known, **new} if new else known
    rows = [
        (numbers[head], number, value.value, value.n, value.spread, value.verified)
        for head, value in zip(heads, values, strict=True)
    ]
    insert(connection, POINTS, ("series", "run", "value", "n", "spread", "verified"), rows)
    return new


def _insert_series(connection: Connection, heads: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
    """The number of each; rows for those that have none yet."""
    keys = {_key(head): head for head in heads}
    there = _numbers(connection, SERIES.c.key, SERIES.c.id, keys)
    rows = [(key, *head) for key, head in keys.items() if key not in there]
    insert(connection, SERIES, ("key", *_HEAD), rows)
    there |= _numbers(connection, SERIES.c.key, SERIES.c.id, [row[0] for row in rows])
    return {keys[key]: number for key, number in there.items()}


def _heads(connection: Connection, run: Run, values: Sequence[Value]) -> Iterator[tuple[str, ...]]:
    """What each value's series is told by; their environments are in the database afterwards."""
    rules = inspired.recorded(run.manifest.plan)
    known: dict[tuple[str, bool, Inspired | None], str] = {}
    for value in values:
        asked = (value.target, value.verified, inspired.of(value.benchmark, rules))
        if asked not in known:
            known[asked] = _insert_environment(connection, run, *asked)
        yield (
            value.target,
            value.benchmark,
            value.parameters,
            value.metric,
            value.unit,
            value.better,
            value.clock,
            known[asked],
        )


def _insert_environment(
    connection: Connection,
    run: Run,
    target: str,
    verified: bool,  # noqa: FBT001
    rules: Inspired | None,
) -> str:
    envelope = run.envelopes.get(run.target_envelopes.get(target, ""))
    facts = epochs.facts_of(envelope, harness=f"benchproof {run.manifest.benchproof}" if verified else IMPORTED)
    facts |= {epochs.RULES: str(rules)} if rules else {}
    key = epochs.key_of(facts)
    if not _numbers(connection, ENVIRONMENTS.c.key, ENVIRONMENTS.c.key, [key]):
        connection.execute(ENVIRONMENTS.insert().values(key=key, facts=texts(facts)))
    return key


def _numbers(
    connection: Connection, name: sql.Column[Any], number: sql.Column[Any], names: Iterable[str]
) -> dict[str, Any]:
    return {
        row[0]: row[1]
        for some in chunks(list(names))
        for row in connection.execute(sql.select(name, number).where(name.in_(some)))
    }


def _environments(connection: Connection, keys: Iterable[str]) -> dict[str, dict[str, str]]:
    found = _numbers(connection, ENVIRONMENTS.c.key, ENVIRONMENTS.c.facts, keys)
    return {key: _TEXTS.decode(facts) for key, facts in found.items()}


def _points(connection: Connection, numbers: Sequence[int]) -> dict[int, list[sql.Row[Any]]]:
    found: dict[int, list[sql.Row[Any]]] = {}
    for row in connection.execute(sql.select(POINTS).where(POINTS.c.series.in_(numbers))):
        found.setdefault(row.series, []).append(row)
    return found


def _in_time(rows: Iterable[sql.Row[Any]], runs: Mapping[int, Known]) -> tuple[Stored, ...]:
    """The points of those runs, the oldest first."""
    found = [Stored(runs[row.run], row.value, row.n, row.spread, row.verified) for row in rows if row.run in runs]
    return tuple(sorted(found, key=lambda point: (point.run.at, point.run.run_id)))


def _key(head: tuple[str, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(head)).hexdigest()


def texts(given: Mapping[str, str]) -> str:
    """As the database has them."""
    return msgspec.json.encode(given, order="sorted").decode()


# ---- the folder ----


def _folders(runs: Path) -> dict[str, str]:
    """Every folder with a manifest, and what its files were when we looked: another size or time is another run."""
    found = {}
    for path in runs.glob("*"):
        with contextlib.suppress(OSError):  # it is being made, or is just gone
            stats = [(path / name).lstat() for name in (MANIFEST, ENVELOPE, RESULTS, WARMUPS) if (path / name).exists()]
            if (path / MANIFEST).exists():
                found[path.name] = " ".join(f"{each.st_size}:{each.st_mtime_ns}" for each in stats)
    return found


def _home_id(home: Path) -> str:
    """A name for this home that no other has, and that stays when the folder is moved."""
    path = home / _HOME_FILE
    try:
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=home, prefix=f".{_HOME_FILE}-") as draft:
                draft.write(f"{uuid.uuid4()}\n")
                draft.flush()
                with contextlib.suppress(FileExistsError):  # another process was quicker
                    os.link(draft.name, path)
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StoreError(f"cannot write to '{home}': {error.strerror}; the index needs a name for it there") from error
