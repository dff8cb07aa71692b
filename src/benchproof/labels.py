"""What a run says of the thing that it measured: commit, branch, tag and the user's own words.

They are how runs are found again, as baselines and in trends. Whoever gives one of commit, branch and tag speaks for
all three; otherwise CI's variables do, and then the git work tree of the current folder, which is only read.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchproof.errors import UsageError

SOURCE = ("commit", "branch", "tag")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LONGEST = 200
_GIT_TIMEOUT_S = 10.0
# nothing is written, and no program that the folder's configuration names is started
GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")
_CI = {
    "commit": ("GITHUB_SHA", "CI_COMMIT_SHA"),
    "branch": ("GITHUB_HEAD_REF", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"),
    "tag": ("CI_COMMIT_TAG",),
}


def collect(given: Iterable[str], *, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """`given` as NAME=TEXT, and what is known without being told. Raises UsageError."""
    labels = dict(parsed(each) for each in given)
    if not labels.keys() & set(SOURCE):
        labels |= from_ci(environment) or from_git(folder)
    return {name: text for name, text in labels.items() if text}


def parsed(given: str) -> tuple[str, str]:
    """The name and the text of one --label. Raises UsageError."""
    name, equals, text = given.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise UsageError(f"--label: expected NAME=TEXT such as 'branch=main', found '{given}'")
    if len(text) > _LONGEST or not text.isprintable():
        raise UsageError(f"--label: expected at most {_LONGEST} printable characters, found '{given[:80]}'")
    return name, text.strip()


def from_ci(environment: Mapping[str, str]) -> dict[str, str]:
    """From the variables of GitHub's and GitLab's runners; empty where there are none."""
    found = {
        name: text
        for name, variables in _CI.items()
        if (text := next((environment[each] for each in variables if environment.get(each)), ""))
    }
    reference = environment.get("GITHUB_REF_NAME", "")
    kind = "tag" if environment.get("GITHUB_REF_TYPE") == "tag" else "branch"
    if reference and kind not in found and "commit" in found:
        found[kind] = reference
    return found if "commit" in found else {}


def from_git(folder: Path) -> dict[str, str]:
    """Of the work tree around `folder`; `dirty` if a tracked file is not as committed; empty where there is none."""
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return {}
    heads = dict(line.removeprefix("# branch.").split(" ", 1) for line in status if line.startswith("# branch."))
    commit, branch = heads.get("oid", ""), heads.get("head", "")
    if not re.fullmatch(r"[0-9a-f]{7,64}", commit):  # nothing is committed yet
        return {}
    tags = _git(folder, "tag", "--points-at", "HEAD") or []
    found = {
        "commit": commit,
        "branch": "" if branch == "(detached)" else branch,
        "tag": tags[0] if len(tags) == 1 else "",
        "dirty": "yes" if any(not line.startswith("#") for line in status) else "",
    }
    return {name: text for name, text in found.items() if text and text.isprintable()}


def kept(folder: Path) -> bool:
    """Whether git keeps, or would add, a file of this folder; False where there is no work tree."""
    return bool(_git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "--directory", "--", "."))


def _git(folder: Path, *words: str) -> list[str] | None:
    """The lines that git prints; None where it is missing, fails or takes too long: labels are worth no failed run."""
    command = [*GIT, "-C", str(folder), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=_GIT_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").splitlines()


def named(labels: Mapping[str, str]) -> str:
    """What was measured, in a word: commit, else tag, else version; empty if nobody said."""
    commit = labels.get("commit", "")
    short = commit[:12] if re.fullmatch(r"[0-9a-f]{13,}", commit) else commit
    word = short or labels.get("tag", "") or labels.get("version", "")
    return f"{word}-dirty" if word and labels.get("dirty") else word
