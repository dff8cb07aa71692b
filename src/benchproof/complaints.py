"""How a command of ours ends: its exit status, and one line on standard error where there is trouble."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

import click

from benchproof import letters
from benchproof.errors import BenchproofError, one_line

_BROKEN_PIPE_STATUS = 141
_READER_LEFT = "PacifyFlushWrapper"  # click puts it around the streams; by name: newer ones call it private
_STDOUT, _STDERR = 1, 2
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


def complained(command: Callable[[], int | None], *, program: str = "benchproof") -> None:
    """Exit as a command does: expected errors are one line on stderr, anything else keeps its traceback."""
    _prepare_streams()
    try:
        sys.exit(command() or 0)
    except BenchproofError as error:
        _complain(str(error), program)
        sys.exit(error.exit_status)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        _complain(error.format_message(), program)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted", program)
        sys.exit(130)
    except SystemExit:
        if type(sys.stdout).__name__.lstrip("_") == _READER_LEFT:
            sys.exit(_BROKEN_PIPE_STATUS)
        raise
    except BrokenPipeError:  # it left while click did not look
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE_STATUS)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" '{error.filename}'" if error.filename else ""
        _complain(
            f"cannot write{where}: {error.strerror}; make room or name another folder (--home, TMPDIR, XDG_CACHE_HOME)",
            program,
        )
        sys.exit(1)


def _prepare_streams() -> None:
    """What is written can be written. A stream that is closed is opened: the next file would take its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)
    sys.stdout = sys.stdout or open(_STDOUT, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(_STDERR, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            letters.prepare(stream)


def _complain(message: str, program: str) -> None:
    click.echo(f"{program}: {one_line(message)}", err=True)
