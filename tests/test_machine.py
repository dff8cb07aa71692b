"""What a guest is plugged together from: facts that can be compared, CPUs that it keeps to, words that are refused."""

from __future__ import annotations

import os
import threading

import msgspec
import pytest

from benchproof import envelope, pinning, process
from benchproof.errors import NotSupported, StartFailed, UsageError
from benchproof.guest.architecture import AARCH64, X86_64
from benchproof.guest.disk import Disk
from benchproof.guest.hardware import OVERSUBSCRIBED, Hardware, emulator_version
from benchproof.guest.monitor import Monitor
from benchproof.model import Envelope
from benchproof.targets import KINDS

QEMU = KINDS.load("qemu")
PLAIN = Hardware(accel="tcg", cpu="max", vcpus=1, memory_mib=256)
HOST_CPUS = sorted(os.sched_getaffinity(0))
needs_qemu = pytest.mark.skipif("not __import__('shutil').which('qemu-system-x86_64')", reason="QEMU is not installed")
needs_two_cpus = pytest.mark.skipif(len(HOST_CPUS) < 2, reason="one CPU: there is nothing to choose")


def described(hardware: Hardware, **system: str) -> Envelope:
    return Envelope(sections={"machine": hardware.facts(accel_reason="no KVM"), "system": {"kind": "x"} | system})


# ---- one envelope, or not ----


@needs_qemu
@pytest.mark.parametrize(
    ("fact", "changed"),
    [
        ("cpu", {"cpu": "Nehalem"}),
        ("vcpus", {"vcpus": 2}),
        ("memory_mib", {"memory_mib": 512}),
        ("machine", {"machine": "q35"}),
        ("execution", {"accel": "kvm"}),
        ("architecture", {"architecture": AARCH64}),
        ("devices", {"options": ("-device", "virtio-rng-pci")}),
        ("devices", {"disk": Disk(size_bytes=1 << 20)}),
        ("devices", {"exact": True}),
        ("cpu_set", {"cpus": (HOST_CPUS[0],)}),
    ],
)
def test_whatever_is_plugged_in_differently_forbids_a_comparison_of_systems_and_is_named(fact, changed):
    found = envelope.differences(
        described(PLAIN), described(msgspec.structs.replace(PLAIN, **changed)), vary=["system"]
    )
    assert fact in {each.fact for each in found if not each.allowed}
    assert all(each.section == "machine" and not each.allowed for each in found)


@needs_qemu
def test_what_is_booted_may_differ_and_why_it_is_emulated_says_nothing():
    one, other = described(PLAIN, kernel="6.1"), described(PLAIN, kernel="6.12", command="-append quiet")
    other.sections["machine"]["accel_reason"] = "another"
    assert all(each.allowed for each in envelope.differences(one, other, vary=["system"]))


@needs_qemu
def test_a_guest_tells_what_is_plugged_in_apart_from_what_is_booted(lab):
    plain = QEMU(QEMU.Settings(accel="tcg"), lab)
    facts = envelope.capture(plain.facts(), {})
    assert facts.sections["machine"] == {
        "execution": "tcg",
        "emulator": emulator_version(X86_64),
        "architecture": "x86_64",
        "accel": "tcg",
        "accel_reason": 'the plan says accel = "tcg"',
        "machine": "pc",
        "cpu": "max",
        "vcpus": "1",
        "memory_mib": "256",
        "devices": "serial port; second serial port; isa-debug-exit,iobase=0xf4,iosize=4",
    }
    system = facts.sections["system"]
    assert system["cpus"] == "1"
    assert system["command"].endswith("-append " + X86_64.kernel_arguments)
    booted = QEMU(QEMU.Settings(accel="tcg", arguments="mitigations=off", start="cold"), lab)
    found = envelope.differences(facts, envelope.capture(booted.facts(), {}), vary=["system"])
    assert {"command", "start"} <= {each.fact for each in found}
    assert all(each.allowed for each in found)


# ---- words for QEMU ----


@pytest.mark.parametrize("word", ["-m", "--m", "-cpu", "-machine", "-accel", "-serial", "-sandbox", "-daemonize"])
def test_an_option_that_would_belie_a_fact_or_take_our_channels_is_refused(word):
    with pytest.raises(UsageError, match=f"options: '{word}' is not to be given"):
        QEMU.Settings(options=(word, "x"))


def test_an_emulator_that_is_not_there_is_refused_before_anything_runs():
    with pytest.raises(UsageError, match="emulator: expected a program, found none: '/no/qemu'"):
        QEMU.Settings(emulator="/no/qemu").refuse_missing()


# ---- CPUs ----


@pytest.mark.parametrize(("text", "cpus"), [("", ()), ("0", (0,)), ("3,1", (3, 1)), ("2-4, 7", (2, 3, 4, 7))])
def test_a_list_of_cpus_is_read_as_it_is_written(text, cpus):
    assert pinning.parse(text) == cpus


@pytest.mark.parametrize("text", [",", "0,", "a", "-1", "4-2", "0,0", "1-3,2", "0x1", "٣", "99999", "1 2"])
def test_no_list_of_cpus_is_refused(text):
    with pytest.raises(UsageError, match="expected a list of CPUs"):
        KINDS.load("host").Settings(cpus=text)


@pytest.mark.parametrize("kind", ["host", "bwrap", "gvisor", "qemu"])
def test_a_cpu_that_is_not_here_is_refused_with_those_that_are(kind):
    with pytest.raises(UsageError, match=rf"may be used here, {HOST_CPUS[0]}.*found 999"):
        KINDS.load(kind).Settings(cpus=f"{HOST_CPUS[0]},999").refuse_missing()


@needs_two_cpus
def test_what_is_started_is_confined_and_we_are_not(host_probe):
    last = HOST_CPUS[-1]
    with process.Supervised(["sleep", "60"], supervisor=host_probe.path, cpus=[last]) as program:
        assert os.sched_getaffinity(program.pid) == {last}
        assert sorted(os.sched_getaffinity(0)) == HOST_CPUS
    with pytest.raises(FileNotFoundError):
        process.Supervised(["x"], supervisor=host_probe.path.with_name("no"), cpus=[last])
    assert sorted(os.sched_getaffinity(0)) == HOST_CPUS


def test_words_that_are_too_long_for_the_host_are_no_crash_of_ours(host_probe):
    with pytest.raises(StartFailed, match="a command line of 300000 characters is too long"):
        process.Supervised(["x" * 300_000], supervisor=host_probe.path)


def test_a_cpu_that_went_away_is_no_silent_wider_set():
    with pytest.raises(NotSupported, match="cannot run on CPUs"), pinning.confined([HOST_CPUS[0], 999]):
        pass
    assert sorted(os.sched_getaffinity(0)) == HOST_CPUS


@needs_two_cpus
@pytest.mark.parametrize("kind", ["host", "bwrap", "command"])
def test_a_target_of_this_host_says_what_it_was_confined_to_and_saw_it(kind, lab):
    loaded = KINDS.load(kind)
    settings = {"command": ("env", "{argv}")} if kind == "command" else {}
    facts = loaded(loaded.Settings(cpus=str(HOST_CPUS[-1]), **settings), lab).facts()
    assert (facts["machine"]["cpu_set"], facts["machine"]["cpus"]) == (str(HOST_CPUS[-1]), "1")


@needs_two_cpus
def test_a_wrapper_that_goes_elsewhere_is_not_called_pinned(lab):
    everywhere = ",".join(map(str, HOST_CPUS))
    loaded = KINDS.load("command")
    target = loaded(loaded.Settings(command=("taskset", "-c", everywhere, "{argv}"), cpus=str(HOST_CPUS[0])), lab)
    with pytest.raises(NotSupported, match="does not reach what runs in it"):
        target.facts()


@needs_qemu
@needs_two_cpus
def test_each_cpu_of_a_guest_has_one_of_the_host_where_there_are_as_many(lab):
    pair = HOST_CPUS[1::-1]
    target = QEMU(QEMU.Settings(accel="tcg", vcpus=2, start="cold", cpus=pinning.written(pair)), lab)
    with target.cold() as instance:
        guest = instance._guest
        threads = [each["thread-id"] for each in guest.monitor.execute("query-cpus-fast")]
        assert [os.sched_getaffinity(thread) for thread in threads] == [{cpu} for cpu in pair]
        assert os.sched_getaffinity(guest.program.pid) == set(pair)
    facts = target.machine.facts(accel_reason="")
    assert facts["cpu_set"] == pinning.written(pair)
    assert "cpu_set_label" not in facts


@needs_qemu
def test_fewer_cpus_than_the_guest_has_is_said_in_every_report():
    few = msgspec.structs.replace(PLAIN, vcpus=len(HOST_CPUS) + 1)
    pinned = msgspec.structs.replace(PLAIN, vcpus=2, cpus=(HOST_CPUS[0],))
    assert [envelope.labels(described(each)) for each in (PLAIN, few, pinned)] == [
        (),
        (OVERSUBSCRIBED,),
        (OVERSUBSCRIBED,),
    ]


def test_a_guest_whose_cpus_share_a_thread_is_confined_as_a_whole():
    class OneThread(Monitor):
        def __init__(self): ...

        def execute(self, *_, **__):
            return [{"thread-id": threading.get_native_id()}] * 2

    OneThread().pin((HOST_CPUS[0], HOST_CPUS[-1]), vcpus=2)
    assert sorted(os.sched_getaffinity(0)) == HOST_CPUS
