"""The tables of the index, and the two kinds of database that they live in. Needs SQLAlchemy.

Nothing is migrated: a database with another schema is refused, since all of it can be made anew from the runs. One
writer at a time, readers never wait: SQLite by its write-ahead log, PostgreSQL by an advisory lock.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from benchproof.errors import StoreError, UsageError

SCHEMA = "2"  # of the tables below; another one in a database means: rebuild
FILE = "index.sqlite"
_PREFIX = "benchproof_"  # of our tables, in a database that may hold others
_WRITES = "benchproof_writes"
_LOCK_WAIT_S = 120
_ADVISORY_LOCK = 0x62656E63  # of our writers, in PostgreSQL
_AT_ONCE = 500  # names in one query
_PRAGMAS = ("synchronous=NORMAL", "cache_size=-65536", "temp_store=MEMORY")
_BROKEN = ("not a database", "malformed")  # SQLite's words

T = TypeVar("T")

TABLES = MetaData()
META = Table(
    f"{_PREFIX}meta",
    TABLES,
    Column("name", String, primary_key=True),
    Column("text", String, nullable=False),
)
RUNS = Table(
    f"{_PREFIX}run",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("run_id", String, nullable=False, unique=True),  # a run that is added twice is one
    Column("home", String, nullable=False, index=True),
    Column("folder", String, nullable=False),
    Column("signature", String, nullable=False),  # of the files as they were read
    Column("at", String, nullable=False, index=True),  # UTC
    Column("branch", String, nullable=False, index=True),  # the label; empty where nobody said
    Column("state", String, nullable=False),
    Column("version", String, nullable=False),
    Column("verified", Boolean, nullable=False),  # has a value that an oracle of ours agreed with
    Column("labels", String, nullable=False),
    Column("targets", String, nullable=False),  # a list as JSON
    Column("passed", Integer, nullable=False),  # questions with an answer
    Column("asked", Integer, nullable=False),
    Column("statuses", String, nullable=False),  # of its questions, each once, a blank on both sides
    Column("gates", String, nullable=False),  # the worst verdict; empty without gates
)
REFUSED = Table(
    f"{_PREFIX}refused",
    TABLES,
    Column("home", String, primary_key=True),
    Column("folder", String, primary_key=True),
    Column("signature", String, nullable=False),
    Column("problem", String, nullable=False),
)
ENVIRONMENTS = Table(
    f"{_PREFIX}environment",
    TABLES,
    Column("key", String, primary_key=True),
    Column("facts", String, nullable=False),
)
SYSTEMS = Table(
    f"{_PREFIX}system",
    TABLES,
    Column("run", Integer, ForeignKey(RUNS.c.id), primary_key=True),
    Column("target", String, primary_key=True),
    Column("facts", String, nullable=False),
)
SERIES = Table(
    f"{_PREFIX}series",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),  # hash of the columns below
    Column("target", String, nullable=False),
    Column("benchmark", String, nullable=False, index=True),
    Column("parameters", String, nullable=False),
    Column("metric", String, nullable=False, index=True),
    Column("unit", String, nullable=False),
    Column("better", String, nullable=False),
    Column("clock", String, nullable=False),
    Column("environment", String, ForeignKey(ENVIRONMENTS.c.key), nullable=False),
)
POINTS = Table(
    f"{_PREFIX}point",
    TABLES,
    # no foreign keys: two checks a row would cost more than the row, and a run is written whole or not at all
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    Column("n", Integer, nullable=False),
    Column("spread", Double),
    Column("verified", Boolean, nullable=False),
    sqlite_with_rowid=False,  # the points of a series lie together
)
CASES = Table(
    f"{_PREFIX}case",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("benchmark", String, nullable=False),
    Column("target", String, nullable=False),
    UniqueConstraint("benchmark", "target"),
)
ANSWERS = Table(
    f"{_PREFIX}answer",
    TABLES,
    # no foreign keys, as above; the newest of a case is the last of its rows
    Column("question", Integer, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, primary_key=True, autoincrement=False),  # since 1970
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("passed", Integer, nullable=False),  # of the questions of the benchmark: it may have several parameters
    Column("asked", Integer, nullable=False),
    Column("status", String, nullable=False),  # the worst
    Column("reason", String, nullable=False),  # of that; empty if it passed
    sqlite_with_rowid=False,
)
GATES = Table(
    f"{_PREFIX}gate",
    TABLES,
    Column("run", Integer, ForeignKey(RUNS.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),  # in the order of the report
    Column("name", String, nullable=False),  # the key of the policy
    Column("benchmark", String, nullable=False),
    Column("target", String, nullable=False),
    Column("parameters", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("reason", String, nullable=False),
)


def address(home: Path, url: str | None) -> URL:
    """Where the index of these runs is. Raises UsageError for anything but SQLite and PostgreSQL."""
    if not url:
        return URL.create("sqlite", database=str(home / FILE))
    expected = "expected an index such as postgresql://user@host/database or sqlite:////folder/file"
    try:
        given = make_url(url)
    except (SQLAlchemyError, ValueError) as error:
        raise UsageError(f"{expected}, found something that is no address") from error
    backend = given.drivername.partition("+")[0]
    if backend == "sqlite" and given.database:
        return given.set(drivername="sqlite")
    if backend in {"postgresql", "postgres"}:
        return given.set(drivername="postgresql+psycopg")
    raise UsageError(f"{expected}, found {backend}://")


class Database:
    """A database of either kind. Within `explained`, whatever it complains of is one line as StoreError."""

    def __init__(self, url: URL) -> None:
        self.name = url.render_as_string(hide_password=True)
        self._file = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        self._engine = _engine(url)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of the only writer."""
        with self._engine.execution_options(**{_WRITES: True}).begin() as connection:
            if not self._file:
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection

    def made(self, connection: Connection) -> str:
        """A name of these tables that others, made in their place, will not have."""
        return str(connection.execute(sql.select(META.c.text).where(META.c.name == "made")).scalar())

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raises StoreError for what the database says is wrong."""
        try:
            yield
        except DBAPIError as error:
            said = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
            rebuild = any(each in said for each in _BROKEN)
            hint = "; `benchproof index rebuild` makes it anew" if rebuild else "; --index names another"
            raise StoreError(f"the index '{self.name}' cannot be used: {said}{hint}") from error

    def prepare(self) -> None:
        """Make the tables where there are none. Raises StoreError if those that are there are not ours of today."""
        found = self._schema()
        if found is None:
            self._create()
            found = self._schema()
        if found != SCHEMA:
            raise StoreError(
                f"the index '{self.name}' has schema {found}, this benchproof needs {SCHEMA};"
                " `benchproof index rebuild` makes it anew from the runs"
            )

    def clear_unusable(self) -> None:
        """Take away what `prepare` would refuse: tables of another schema, a file that is broken or no database."""
        if self._file is not None and not self._is_sound():
            self._remove(self._file)
        elif self._schema() not in {None, SCHEMA}:
            self._drop()

    def _is_sound(self) -> bool:
        """Of a file of SQLite: whether every page of it can be read."""
        try:
            with self.reading() as connection:
                return bool(connection.execute(sql.text("PRAGMA quick_check(1)")).scalar() == "ok")
        except DBAPIError as error:
            if not any(each in str(error.orig) for each in _BROKEN):
                raise
            return False

    def _schema(self) -> str | None:
        """None: there are no tables of ours."""
        with self.reading() as connection:
            if not sql.inspect(connection).has_table(META.name):
                return None
            text = connection.execute(sql.select(META.c.text).where(META.c.name == "schema")).scalar()
            return text or "unknown"

    def _create(self) -> None:
        if self._file:
            with contextlib.closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
        with self.writing() as connection:
            if not sql.inspect(connection).has_table(META.name):  # another process may have been quicker
                TABLES.create_all(connection)
                connection.execute(META.insert(), {"name": "schema", "text": SCHEMA})
                connection.execute(META.insert(), {"name": "made", "text": str(uuid.uuid4())})

    def _drop(self) -> None:
        with self.writing() as connection:
            found = MetaData()
            found.reflect(connection, only=lambda name, _: name.startswith(_PREFIX))
            found.drop_all(connection)

    def _remove(self, file: Path) -> None:
        self.close()
        for ending in ("", "-wal", "-shm"):
            file.with_name(file.name + ending).unlink(missing_ok=True)


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time as one query may name."""
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Many rows at once, as the driver does it fastest."""
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        cursor: Any = connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    elif rows:
        places = ", ".join("?" * len(columns))
        command = f"INSERT INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608 - all three are words of ours
        connection.exec_driver_sql(command, list(map(tuple, rows)))


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return sql.create_engine(url)
        except ModuleNotFoundError as error:
            raise UsageError("an index in PostgreSQL needs psycopg: pip install 'benchproof[postgresql]'") from error
    engine = sql.create_engine(url, connect_args={"timeout": _LOCK_WAIT_S})
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # else Python's driver begins transactions when it sees fit
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes its turn at once: a reader that becomes a writer halfway could find that it may not."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
