"""What the work may do: taken by the probe, told by the probe, and held against what was declared."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from benchproof import authority, envelope, plan, report
from benchproof.benchmarks import BENCHMARKS
from benchproof.errors import InvocationError, LabInvalid, NotSupported, UsageError
from benchproof.model import Authority
from benchproof.probe import read
from benchproof.targets import KINDS
from conftest import lab_in, planted_probe, why_unusable

GOOD = {
    "authority.capabilities": "0" * 16,
    "authority.inheritable": "0" * 16,
    "authority.bounding": "0" * 16,
    "authority.ambient": "0" * 16,
    "authority.bounding_droppable": "yes",
    "authority.no_new_privileges": "1",
    "authority.seccomp": "none",
    "authority.new_namespaces": "none",
    "authority.interfaces": "1",
}
NOTHING = Authority()
ADMIN = Authority(capabilities=("CAP_SYS_ADMIN",), namespaces=("mnt",))
HAS_ADMIN = GOOD | {
    "authority.capabilities": f"{1 << 21:016x}",
    "authority.bounding": f"{1 << 21:016x}",
    "authority.new_namespaces": "mnt",
}


def test_what_was_declared_and_no_more_is_accepted():
    authority.check(GOOD, Authority())
    authority.check(HAS_ADMIN, ADMIN)
    authority.check(GOOD | {"authority.seccomp": "filter"}, Authority())  # a filter of the target takes away


@pytest.mark.parametrize(
    ("fact", "value", "words"),
    [
        ("capabilities", "0000000000200000", "CAP_SYS_ADMIN"),
        ("inheritable", "0000000000000001", "CAP_CHOWN"),
        ("ambient", "0000000000080000", "CAP_SYS_PTRACE"),
        ("bounding", "000001ffffffffff", "all 41 capabilities"),
        ("no_new_privileges", "0", "no_new_privileges 0"),
        ("new_namespaces", "user", "new namespaces user"),
        ("capabilities", "none of your business", "none of your business"),
        ("capabilities", None, "untold"),
    ],
)
def test_a_probe_that_reports_wider_rights_than_were_declared_makes_it_invalid(fact, value, words):
    said = {key: text for key, text in (GOOD | {f"authority.{fact}": value}).items() if text is not None}
    with pytest.raises(LabInvalid, match="authority wider than declared") as caught:
        authority.check(said, Authority())
    assert words in str(caught.value)


def test_a_bound_that_could_not_be_lowered_is_moot_without_new_privileges():
    stuck = GOOD | {"authority.bounding": "000001ffffffffff", "authority.bounding_droppable": "no"}
    authority.check(stuck, Authority())
    with pytest.raises(LabInvalid):
        authority.check(stuck | {"authority.no_new_privileges": "0"}, Authority())


def test_a_filter_and_an_empty_network_that_were_declared_must_be_there():
    with pytest.raises(LabInvalid, match="seccomp none"):
        authority.check(GOOD, Authority(seccomp="confined"))
    with pytest.raises(LabInvalid, match="network interfaces 1"):
        authority.check(GOOD | {"authority.new_namespaces": "net"}, Authority(namespaces=("net",)))


def test_less_than_was_declared_is_unsupported_with_the_way():
    with pytest.raises(NotSupported, match="it lacks CAP_SYS_ADMIN") as caught:
        authority.check(GOOD | {"authority.new_namespaces": "mnt"}, ADMIN)
    assert "as root" in caught.value.missing


def test_an_unknown_capability_is_refused_with_the_nearest_match():
    with pytest.raises(UsageError, match="did you mean 'CAP_SYS_ADMIN'"):
        authority.mask(("CAP_SYS_ADMINN",))


@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_every_benchmark_states_what_it_needs_in_words_that_the_probe_knows(name):
    declared = BENCHMARKS.load(name).definition.authority
    assert isinstance(declared, Authority)
    authority.options(declared)
    assert str(declared)


@pytest.fixture(scope="module")
def seen(host_probe, tmp_path_factory):
    """What a benchmark of that authority reports on such a target."""

    def go(kind: str, settings: dict | None = None, declared: Authority = NOTHING) -> dict[str, str]:
        loaded = KINDS.load(kind)
        lab = lab_in(tmp_path_factory.mktemp(kind), host_probe.path)
        words = ["bench", "syscall.getpid", "--samples", "1", "--sample-ns", "1000", *authority.options(declared)]
        with loaded(loaded.Settings(**(settings or {})), lab).start() as instance:
            return read(instance.run([instance.probe, *words], timeout_s=60), "syscall.getpid").evidence

    return go


def attempted(call, *arguments):
    with contextlib.suppress(NotSupported):
        return call(*arguments)
    return pytest.skip("this user may not do that here")


def test_the_probe_keeps_nothing_for_a_benchmark_that_needs_nothing(seen):
    authority.check(seen("host"), Authority())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a capability to keep")
def test_the_probe_keeps_exactly_one_capability_in_exactly_the_namespaces_that_were_asked_for(seen):
    declared = Authority(capabilities=("CAP_SYS_ADMIN",), namespaces=("mnt", "net"), seccomp="confined")
    found = attempted(seen, "host", None, declared)
    assert found["authority.capabilities"] == found["authority.bounding"] == f"{1 << 21:016x}"
    assert set(found["authority.new_namespaces"].split(",")) == {"mnt", "net"}
    assert (found["authority.seccomp"], found["authority.interfaces"]) == ("filter", "0")
    authority.check(found, declared)


@pytest.mark.parametrize("kind", ["host", "bwrap"])
def test_a_target_that_is_confined_puts_a_filter_on_every_command(seen, kind):
    plain, confined = attempted(seen, kind), attempted(seen, kind, {"seccomp": "confined"})
    assert int(confined["authority.seccomp_filters"]) == int(plain["authority.seccomp_filters"]) + 1
    authority.check(confined, Authority())


def test_a_host_without_a_network_has_no_interface(seen):
    with contextlib.suppress(InvocationError):  # who is not root cannot have it
        assert seen("host", {"network": "none"})["authority.interfaces"] == "0"


def described(host_probe, folder, **settings):
    kind = KINDS.load("host")
    found = kind(kind.Settings(**settings), lab_in(folder, host_probe.path)).facts()
    return envelope.capture(found, host_probe.facts)


def test_host_against_confined_host_varies_the_authority_and_nothing_else(host_probe, tmp_path):
    one, other = described(host_probe, tmp_path / "a"), described(host_probe, tmp_path / "b", seccomp="confined")
    differing = envelope.differences(one, other, vary=["authority"])
    assert {(each.section, each.fact) for each in differing} == {
        ("authority", "seccomp"),
        ("authority", "seccomp_filters"),
    }
    assert all(each.allowed for each in differing)
    assert not any(each.allowed for each in envelope.differences(one, other, vary=["system"]))


def test_a_sandbox_that_shares_the_network_says_so_beside_its_name(host_probe, tmp_path):
    if reason := why_unusable("bwrap"):
        pytest.skip(reason)
    kind = KINDS.load("bwrap")
    facts = kind(kind.Settings(network="host"), lab_in(tmp_path, host_probe.path)).facts()
    assert "shares the host's network" in envelope.labels(envelope.capture(facts, host_probe.facts))


def test_a_target_that_is_to_be_confined_and_is_not_has_no_facts(tmp_path):
    built = planted_probe("WIDE_AUTHORITY")
    with pytest.raises(LabInvalid, match="found no filter within"):
        described(built, tmp_path, seccomp="confined")


def test_an_authority_in_words_says_all_that_it_has():
    every = Authority(
        capabilities=("CAP_SYS_ADMIN",),
        seccomp="confined",
        namespaces=("mnt",),
        network=True,
        devices=("/dev/null",),
        measurement_build=True,
    )
    assert all(
        words in str(every) for words in ("CAP_SYS_ADMIN", "confined", "mnt", "network", "/dev/null", "measurement")
    )
    assert every.privileged
    assert not Authority(namespaces=("mnt",), devices=("/dev/null",)).privileged
    assert msgspec.json.decode(msgspec.json.encode(every), type=Authority) == every


def test_a_guest_whose_protection_is_off_and_whose_checks_are_on_says_so_in_labels(host_probe, tmp_path):
    if reason := why_unusable("qemu"):
        pytest.skip(reason)
    kind = KINDS.load("qemu")
    settings = kind.Settings(arguments="mitigations=off slub_debug=FZ")
    facts = kind(settings, lab_in(tmp_path, host_probe.path)).facts()
    labels = envelope.labels(envelope.capture(facts, host_probe.facts))
    assert any(label.startswith("mitigations=off (vulnerable: spectre_v1, spectre_v2") for label in labels)
    assert "debug kernel: slub_debug=FZ" in labels


@pytest.mark.parametrize(
    ("command_line", "states", "labels"),
    [
        ("quiet mitigations=auto", {"meltdown": "Mitigation: PTI", "mds": "Not affected"}, {}),
        ("mitigations=off", {"mds": "Not affected"}, {"mitigations_label": "mitigations=off"}),
        ("nopti", {"meltdown": "Vulnerable"}, {"mitigations_label": "nopti (vulnerable: meltdown)"}),
        ("", {"mds": "Vulnerable: no microcode"}, {"mitigations_label": "not mitigated (vulnerable: mds)"}),
        ("slub_debug=P", {}, {"debug_label": "debug kernel: slub_debug=P"}),
    ],
)
def test_what_the_host_leaves_open_is_a_label(monkeypatch, command_line, states, labels):
    monkeypatch.setattr(envelope.platform, "release", lambda: "6.1.0")
    monkeypatch.setattr(envelope.Path, "exists", lambda _path: False)
    assert envelope.kernel_labels(command_line, states) == labels


def test_a_report_says_what_was_privileged_and_what_a_benchmark_may_do():
    asked = ["mount.tmpfs", "ipc.tcp_pingpong", "syscall.getpid"]
    wanted = plan.parse({"targets": {"host": {}}, "suites": {"s": {"benchmarks": asked}}}, where="test")
    assert report._authorities(wanted) == {
        "mount.tmpfs": "CAP_SYS_ADMIN; new namespaces mnt",
        "ipc.tcp_pingpong": "network",
    }
    (words,) = report._privileged(wanted)
    assert words.startswith("privileged: mount.tmpfs ran with CAP_SYS_ADMIN")


def test_the_plans_of_the_page_make_sense():
    page = (Path(__file__).parent.parent / "docs" / "authority.md").read_text()
    plans = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(plans) == 2
    for text in plans:
        plan.parse(tomllib.loads(text), where="docs/authority.md")
