"""Git repositories for tests: a folder, and commits that a test chose."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

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


def worktrees(folder: Path) -> list[str]:
    """What git knows beside the folder itself."""
    return git(folder, "worktree", "list").splitlines()[1:]
