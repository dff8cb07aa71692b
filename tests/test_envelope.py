"""What may be compared with what."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import envelope
from benchproof.model import Envelope

BASE = {
    "host": {"kernel": "6.12"},
    "machine": {"cpu": "X", "execution": "native"},
    "system": {"kind": "host"},
    "probe": {"binary_sha256": "aa"},
    "authority": {"capabilities": "none"},
}


def changed(section: str, **facts: str) -> Envelope:
    return Envelope(sections=BASE | {section: BASE[section] | facts})


def test_the_same_facts_have_the_same_hash_in_any_order():
    backwards = Envelope(sections={name: dict(reversed(facts.items())) for name, facts in reversed(BASE.items())})
    assert envelope.fingerprint(Envelope(sections=BASE)) == envelope.fingerprint(backwards)


@given(section=st.sampled_from(list(BASE)), fact=st.text(min_size=1), value=st.text())
def test_any_other_fact_is_another_hash_and_another_section_hash(section, fact, value):
    base, new = Envelope(sections=BASE), changed(section, **{fact: value})
    if base == new:
        return
    assert envelope.fingerprint(base) != envelope.fingerprint(new)
    before, after = envelope.section_hashes(base), envelope.section_hashes(new)
    assert {name for name in before if before[name] != after[name]} == {section}


@pytest.mark.parametrize(
    ("section", "vary", "allowed"),
    [
        ("system", ("system",), True),
        ("machine", ("system",), False),
        ("machine", ("system", "machine"), True),
        ("host", ("system",), False),
        ("probe", ("system", "machine"), False),
        ("probe", ("workload",), True),
        ("authority", ("system",), False),
        ("authority", ("authority",), True),
    ],
)
def test_only_the_declared_facet_may_differ(section, vary, allowed):
    (difference,) = envelope.differences(Envelope(sections=BASE), changed(section, new="fact"), vary=vary)
    assert difference.allowed is allowed
    assert str(difference) == f"{section}.new: absent against fact"


@pytest.mark.parametrize("other", ["tcg", "unknown", ""])
def test_native_against_emulated_is_never_allowed(other):
    found = envelope.differences(Envelope(sections=BASE), changed("machine", execution=other), vary=envelope.FACETS)
    assert [difference.allowed for difference in found] == [False]


def test_native_against_kvm_is_allowed_where_the_machine_varies():
    found = envelope.differences(Envelope(sections=BASE), changed("machine", execution="kvm"), vary=("machine",))
    assert [difference.allowed for difference in found] == [True]


def test_what_forbids_the_comparison_comes_first():
    new = Envelope(sections=BASE | {"system": {"kind": "other"}, "machine": {"cpu": "Y", "execution": "tcg"}})
    found = envelope.differences(Envelope(sections=BASE), new, vary=("system",))
    assert [(each.fact, each.allowed) for each in found] == [("execution", False), ("cpu", False), ("kind", True)]


def test_the_facts_of_this_host_name_no_host_and_no_address():
    facts = envelope.host()
    assert facts["cpus"].isdigit()
    assert facts["kernel"].startswith("Linux")
    assert not {"hostname", "node", "address"} & facts.keys()


def test_an_envelope_survives_json():
    original = envelope.capture({"machine": {"execution": "native"}, "system": {"kind": "x"}}, {"binary_sha256": "a"})
    assert msgspec.json.decode(msgspec.json.encode(original), type=Envelope) == original
