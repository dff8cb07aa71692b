"""The protocol's reader: one good transcript, and every way to spoil it that we know of."""

from __future__ import annotations

import pytest

from benchproof.errors import InvocationError
from benchproof.protocol.transcript import Ended, Heard, described, is_over, read
from transcripts import GOOD, TOKEN

OVER = Ended("trailer")


def test_a_good_transcript_is_read_as_it_stands():
    found = read(Heard(GOOD), "syscall.getpid", ended=OVER, token=TOKEN)
    assert (found.mechanism, found.unit, found.clock, found.iterations) == (
        "ring entry, one no-op",
        "ns",
        "target",
        1000,
    )
    assert (found.warmups, found.samples) == ((512345.0,), (401302.0, 401287.0))
    assert found.evidence["completed"] == "3000"
    assert found.evidence["protocol.freshness"] == "token"
    assert found.source == ""


def test_a_good_transcript_says_what_the_system_is():
    facts = described(Heard(GOOD), ended=OVER, token=TOKEN)
    assert facts["stated_system"] == "toy-1"
    assert facts["freshness"] == "token"


def test_a_transcript_that_is_cut_anywhere_gives_no_number():
    for cut in range(len(GOOD)):
        assert not is_over(GOOD[:cut])
        with pytest.raises(InvocationError):
            read(Heard(GOOD[:cut]), "syscall.getpid", ended=Ended("power-off", 0), token=TOKEN)
    assert is_over(GOOD)
