"""Programs that ours are held against and that need an environment of their own: made once, pinned, in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import NoNumber, clean_environment
from benchproof import laboratory

_INSTALL_TIMEOUT_S = 900.0


def environment(*packages: str) -> Path:
    """The folder of the programs of a virtual environment with these packages. Raises NoNumber if it cannot be made."""
    folder = laboratory.cache_folder() / "peers" / f"{'-'.join(packages).replace('==', '-')}-{sys.version_info.minor}"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            venv.create(folder, with_pip=True)
            run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], timeout_s=_INSTALL_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoNumber(f"an environment with {', '.join(packages)} cannot be made here: {error}") from error
        (folder / "whole").touch()
    return folder / "bin"


def run(command: Sequence[str | Path], *, timeout_s: float, cwd: Path | None = None, **variables: str) -> bytes:
    """Standard output of a command. Raises NoNumber if it does not end well."""
    try:
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            timeout=timeout_s,
            cwd=cwd,
            env=clean_environment() | variables,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr.decode(errors="replace").strip().splitlines() or ["nothing said"])[-1]
        raise NoNumber(f"{command[0]} ended with status {error.returncode}: {said}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise NoNumber(f"{command[0]}: {error}") from error
    return done.stdout
