"""Both kinds of database that an index can live in; the PostgreSQL is one of our own, started for the tests alone."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_S = 60.0
_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version; None where there is none."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (found := shutil.which("initdb")) and shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return max(folders, key=lambda folder: folder.parent.name, default=None)


@contextlib.contextmanager
def postgresql(*, settings: tuple[str, ...] = _QUICK) -> Iterator[str]:
    """A server behind a socket in a temporary folder, no port; yields an address without the database's name."""
    bin_folder = programs()
    assert bin_folder
    user = _other_user() if os.geteuid() == 0 else None  # PostgreSQL refuses root
    with tempfile.TemporaryDirectory(prefix="benchproof-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if user is not None:
            os.chown(folder, user, -1)
        quiet = {"user": user, "stdout": subprocess.DEVNULL, "stdin": subprocess.DEVNULL, "cwd": folder}
        initdb = [bin_folder / "initdb", "-D", folder / "data", "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, stderr=subprocess.PIPE, timeout=_PATIENCE_S, **quiet)
        options = [word for setting in ("listen_addresses=", *settings) for word in ("-c", setting)]
        command = [bin_folder / "postgres", "-D", folder / "data", "-k", folder, *options]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, **quiet) as server:
            try:
                _wait(server, folder)
                yield f"postgresql://bench@/{{}}?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # ends its sessions, then itself
                server.wait(_PATIENCE_S)


def _other_user() -> int:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise LookupError("no user to run PostgreSQL as")


def _wait(server: subprocess.Popen[bytes], folder: Path) -> None:
    import psycopg  # noqa: PLC0415 - tests of SQLite go without

    until_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            psycopg.connect(host=str(folder), user="bench", dbname="postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until_s, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return


def new_database(server: str, name: str) -> str:
    """The address of an empty database on that server."""
    import psycopg  # noqa: PLC0415 - tests of SQLite go without

    with psycopg.connect(server.format("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.format(name)
