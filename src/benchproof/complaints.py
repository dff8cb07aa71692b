"""How a command of ours ends: its exit status, and one line on standard error where there is trouble."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

import click

from benchproof.errors import BenchproofError, one_line

_BROKEN_PIPE_STATUS = 141
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


def complained(command: Callable[[], int | None], *, program: str = "benchproof") -> None:
    """Exit as a command does: expected errors are one line on stderr, anything else keeps its traceback."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that knows few letters shows question marks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
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
    except BrokenPipeError:  # the reader of our output left
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


def _complain(message: str, program: str) -> None:
    click.echo(f"{program}: {one_line(message)}", err=True)
