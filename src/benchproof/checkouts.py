"""Commits of a git repository, and work trees of them: for what is measured before and after a change.

The work tree of its user is not touched. A checkout is at the same place every time, so that two runs of one commit
have the same paths, and outside of the repository, where no build tool finds the files of the folder above. Nothing is
fetched, no hook of the repository is run, and a commit that is not there is said, never replaced by another.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchproof.errors import StoreError, UsageError, one_line
from benchproof.labels import GIT
from benchproof.model import Frozen
from benchproof.places import cache_folder

_GIT_TIMEOUT_S = 600.0  # a checkout of a large kernel from a slow disk
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
_MOST = 100_000  # commits of a history
_DEEPER = "in a shallow clone, fetch its history (fetch-depth: 0, GIT_DEPTH: 0)"


class Repository(Frozen, frozen=True):
    """A work tree of git's, by its top folder."""

    folder: Path

    def commit(self, name: str) -> str:
        """The full hash of what a branch, tag or abbreviation names. Raises UsageError."""
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if not found:
            raise UsageError(f"expected a commit of '{self.folder}', found '{name}', which it does not have; {_DEEPER}")
        return found[0]

    def subject(self, commit: str) -> str:
        """The first line of its message, whatever its author put there, on one line."""
        return one_line(" ".join(self._git("log", "-1", "--format=%s", commit)))[:200]

    def fork_point(self, base: str, head: str) -> str:
        """The last commit that both have: what the base did since is no change of the head's. Else the base itself."""
        return (self._try("merge-base", base, head) or [base])[0]

    def changed(self, base: str, head: str, patterns: Sequence[str]) -> tuple[str, ...]:
        """The files that differ and match a pattern (`src/vm/**`, a folder, a file), by both names if renamed."""
        limits = [f":(top,glob){each}" for each in patterns]
        listed = self._git("diff", "--name-only", "--no-renames", "-z", base, head, "--", *limits)
        return tuple(name for name in "\n".join(listed).split("\0") if name)

    def between(self, good: str, bad: str) -> tuple[str, ...]:
        """From good to bad, both included, oldest first; a merge is one step. Raises UsageError where no way leads."""
        found = self._git("rev-list", "--first-parent", f"--max-count={_MOST}", bad, f"^{good}")[::-1]
        parents = self._try("rev-parse", "--verify", "--quiet", f"{found[0]}^1") if found else []
        if parents != [good]:
            raise UsageError(
                f"expected a good commit that '{bad[:12]}' descends from by first parents, found '{good[:12]}'; "
                f"name another, such as `git merge-base {good[:12]} {bad[:12]}`; {_DEEPER}"
            )
        return (good, *found)

    @contextlib.contextmanager
    def checked_out(self, commit: str, name: str) -> Iterator[Path]:
        """A work tree of that commit, gone afterwards. Raises UsageError while another process of ours has it."""
        key = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        place = cache_folder() / "checkouts" / key / name
        with _locked(place):
            self._remove(place)
            self._git("worktree", "add", "--quiet", "--force", "--detach", str(place), commit)
            try:
                yield place
            finally:
                self._remove(place)

    def _remove(self, place: Path) -> None:
        """Also what a process that was killed left behind; a build may have made folders that git will not remove."""
        self._try("worktree", "remove", "--force", "--force", str(place))
        shutil.rmtree(place, ignore_errors=True)
        self._try("worktree", "prune")

    def _try(self, *words: str) -> list[str]:
        try:
            return self._git(*words)
        except UsageError:
            return []

    def _git(self, *words: str) -> list[str]:
        return _git(self.folder, *words)


def around(folder: Path) -> Repository:
    """The repository that the folder is in. Raises UsageError."""
    return Repository(Path(_git(folder, "rev-parse", "--show-toplevel")[0]))


def _git(folder: Path, *words: str) -> list[str]:
    """The lines that it prints. Raises UsageError with git's own words."""
    command = [*GIT, *_NO_HOOKS, "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"git {words[0]}: {error}; install git, or name folders that are built already") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise UsageError(f"git {words[0]} in '{folder}': {said[:500]}")
    return done.stdout.decode(errors="surrogateescape").splitlines()


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Nobody else has the place meanwhile; of the lock nothing is left."""
    path = place.with_name(f"{place.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot write to '{path.parent}': {error.strerror}; set XDG_CACHE_HOME") from error
    try:
        if not _is_ours(lock, path):
            raise UsageError(f"another benchproof has a checkout at '{place}'; wait for its end")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the other side's checkout is still there
                path.parent.rmdir()
    finally:
        os.close(lock)


def _is_ours(lock: int, path: Path) -> bool:
    """A lock on a file that its last holder has removed since locks nothing."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
