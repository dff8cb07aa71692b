"""A comparison of systems that differ in anything else is refused: each fact is named, and what would allow it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchproof.envelope import differences, remedy
from benchproof.model import Envelope
from test_gate_verb import LATENCY, a_run, noisy

BASE = {
    "host": {"cpu": "A", "kernel": "6.1"},
    "machine": {"execution": "tcg", "cpu": "max", "memory_mib": "256"},
    "system": {"kind": "qemu", "kernel": "6.1"},
    "probe": {"binary_sha256": "12"},
    "authority": {"capabilities": "none"},
}
OTHERS = {  # section.fact -> another value, the facets that allow both that and another system
    "host.cpu": ("B", "system,machine"),
    "machine.cpu": ("Icelake-Server", "system,machine"),
    "machine.memory_mib": ("512", "system,machine"),
    "machine.accel_of_its_own": ("kvm", "system,machine"),
    "probe.binary_sha256": ("34", "system,workload"),
    "authority.capabilities": ("CAP_SYS_ADMIN", "system,authority"),
}


def changed(*facts):
    """`section.fact=value` for each that is not as usual."""
    sections = {name: dict(found) for name, found in BASE.items()}
    for each in facts:
        name, _, value = each.partition("=")
        section, _, fact = name.partition(".")
        sections[section][fact] = value
    return sections


def compare(home, *arguments):
    command = [sys.executable, "-m", "benchproof", "compare", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_two_systems_of_one_run_that_differ_in_more_are_refused_with_every_fact(tmp_path):
    """In one run and in two, since both have their own way to the envelopes."""
    facts = [f"{name}={value}" for name, (value, _) in OTHERS.items()]
    other = changed("system.kernel=6.12", *facts)
    a_run(tmp_path, "one", facts={"base": BASE, "new": other}, base={LATENCY: noisy(n=8)}, new={LATENCY: noisy(n=8)})
    a_run(tmp_path, "two", facts={"base": other}, base={LATENCY: noisy(n=8)})
    for arguments in (["one", "--targets", "base,new"], ["one", "two"]):
        done = compare(tmp_path, *arguments, "--vary", "system")
        assert done.returncode == 3
        assert f"not compared, {len(OTHERS)} facts differ that were not declared to vary:" in done.stdout
        for name, (value, _) in OTHERS.items():
            assert f"  {name}: " in done.stdout
            assert f"against {value}" in done.stdout
        assert "system.kernel" not in done.stdout
        assert "x [" not in done.stdout
        assert "to compare them all the same: --vary system,machine,authority,workload" in done.stdout


def test_what_is_suggested_makes_the_comparison(tmp_path):
    other = changed("system.kernel=6.12", "machine.memory_mib=512")
    a_run(tmp_path, "one", facts={"base": BASE, "new": other}, base={LATENCY: noisy(n=8)}, new={LATENCY: noisy(n=8)})
    (refused,) = json.loads(compare(tmp_path, "one", "--vary", "system", "--json").stdout)
    assert refused["context"] == ["machine.memory_mib: 256 against 512"]
    facets = refused["remedy"].rpartition(" ")[2]
    (allowed,) = json.loads(compare(tmp_path, "one", "--vary", facets, "--json").stdout)
    assert allowed["rows"][0]["comparison"]["ratio"] is not None
    assert (allowed["context"], allowed["remedy"]) == ([], "")


@pytest.mark.parametrize(("name", "value", "facets"), [(name, *each) for name, each in OTHERS.items()])
def test_each_fact_of_each_section_asks_for_its_facet_and_no_other(name, value, facets):
    base, new = Envelope(sections=BASE), Envelope(sections=changed("system.kernel=6.12", f"{name}={value}"))
    forbidden = [str(each) for each in differences(base, new, vary=("system",)) if not each.allowed]
    assert [each.partition(":")[0] for each in forbidden] == [name]
    assert remedy(base, new, vary=("system",)) == f"to compare them all the same: --vary {facets}"
    assert remedy(base, new, vary=facets.split(",")) == ""


def test_native_against_emulated_is_never_offered(tmp_path):
    native = changed("machine.execution=native", "system.kind=host", "machine.cpu=real")
    a_run(tmp_path, "one", facts={"base": BASE, "new": native}, base={LATENCY: noisy(n=8)}, new={LATENCY: noisy(n=8)})
    for facets in ("system", "system,machine,authority,workload,time"):
        done = compare(tmp_path, "one", "--vary", facets)
        assert done.returncode == 3
        assert "machine.execution: tcg against native" in done.stdout
        assert "no --vary allows native against emulated execution" in done.stdout
        assert "to compare them all the same" not in done.stdout


def test_values_that_begin_alike_are_shown_where_they_differ():
    command = "qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -accel tcg -cpu max -m "
    base, new = (Envelope(sections=changed(f"machine.command={command}{size}")) for size in (256, 512))
    (difference,) = differences(base, new, vary=("system",))
    assert str(difference) == "machine.command: ...-cpu max -m 256 against ...-cpu max -m 512"


def test_a_value_that_is_not_there_is_absent():
    base, new = Envelope(sections=BASE), Envelope(sections=changed("machine.devices=isa-debug-exit"))
    assert [str(each) for each in differences(base, new, vary=())] == ["machine.devices: absent against isa-debug-exit"]


def test_a_label_is_told_above_the_comparison(tmp_path):
    debug = changed("system.build_label=debug build")
    a_run(tmp_path, "one", facts={"base": BASE, "new": debug}, base={LATENCY: noisy(n=8)}, new={LATENCY: noisy(n=8)})
    assert "note: one/new: debug build: its figures are of such a system alone" in " ".join(
        compare(tmp_path, "one", "--vary", "system").stdout.split()
    )
