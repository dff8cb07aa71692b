"""Which two states a run of CI is about, from what its user said and from the variables of the runner.

The base is where the head left its branch: what others did there since is not measured as if the head had done it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchproof.checkouts import Repository
from benchproof.errors import UsageError
from benchproof.model import Frozen

_RELEASE = "a release is cut"


class Change(Frozen, frozen=True):
    """Two commits of a repository, by their full hashes."""

    repository: Repository
    base: str
    head: str

    def files(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Those that differ between the two and match."""
        return self.repository.changed(self.base, self.head, patterns)


def of(repository: Repository, base: str, head: str, environment: Mapping[str, str]) -> Change:
    """Base and head; the base is by default that of the pull request, else the commit before. Raises UsageError."""
    head = repository.commit(head)
    named = base or _of_ci(environment) or f"{head}~1"
    try:
        other = repository.commit(named)
    except UsageError as error:
        raise UsageError(f"--base: {error}") from error
    return Change(repository, repository.fork_point(other, head), head)


def _of_ci(environment: Mapping[str, str]) -> str:
    """GitHub names a branch of its own remote, GitLab a commit."""
    branch = environment.get("GITHUB_BASE_REF", "")
    return environment.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "") or (f"origin/{branch}" if branch else "")


def release(environment: Mapping[str, str], *, said: bool) -> str:
    """Why everything is measured, whatever changed: someone cuts a release. Empty if nobody does."""
    is_tag = environment.get("GITHUB_REF_TYPE") == "tag" or environment.get("CI_COMMIT_TAG")
    return _RELEASE if said or is_tag else ""
