"""Git repositories for tests: a folder, and commits that a test chose."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchproof.cli import benchproof
from benchproof.errors import BenchproofError

_OWN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}
CI = ("GITHUB_", "GITLAB_", "CI_")  # variables by which a runner is known
ENVIRONMENT = {name: text for name, text in os.environ.items() if not name.startswith(CI)} | {"NO_COLOR": "1"}


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    environment = ENVIRONMENT | _OWN
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    return folder


def commit(folder: Path, message: str, **files: str) -> str:
    """The hash of a commit that writes these files (`__` in a name is a slash, `_dot_` a dot)."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def asked(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and complaint of benchproof in that folder, without the start of a process."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(CI):
                patch.delenv(name)
        done = CliRunner().invoke(benchproof, words, standalone_mode=False)
    if isinstance(done.exception, BenchproofError):
        return done.exception.exit_status, done.stdout, str(done.exception)
    assert done.exception is None, done.exception
    return done.return_value, done.stdout, ""


def worktrees(folder: Path) -> list[str]:
    """What git knows beside the folder itself."""
    return git(folder, "worktree", "list").splitlines()[1:]
