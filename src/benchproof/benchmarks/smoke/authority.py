"""Smoke `smoke.authority`."""

from __future__ import annotations

from collections.abc import Iterator

from benchproof.benchmarks.smoke.smoked import TIER, UNSUPPORTED, Smoked
from benchproof.model import Definition
from benchproof.oracles import Evidence

ATTEMPTS = ("mount", "raw_socket", "packet_socket", "foreign_file", "foreign_process")
REFUSED = {"EPERM", "EACCES"}
ABSENT = {"ENOSYS", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ENODEV"}  # the system has no such thing at all


class Refusals(Smoked, frozen=True):
    """Is refused what a workload without authority must not do?"""

    definition = Definition(
        name="smoke.authority",
        tier=TIER,
        question=__doc__,
        mechanism="mount, raw and packet socket, foreign file, ptrace of a foreign process, without any capability",
        without_posix="whatever needs a right that was not given",
        oracle="each is refused, with an error of authority or because the system has no such thing",
        nondeterminism="whose the foreign file and process are",
        when_unsupported=UNSUPPORTED,
    )

    def check(self, evidence: Evidence) -> Iterator[str]:
        """The post-condition."""
        for attempt in ATTEMPTS:
            if evidence.get(attempt) not in REFUSED | ABSENT:
                found = evidence.get(attempt, "nothing")
                said = "it was allowed" if found == "none" else f"found {found}"
                yield f"{attempt}: expected to be refused ({' or '.join(sorted(REFUSED))}), {said}"
