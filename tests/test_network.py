"""A guest with the host's network: what it has of it, and what a plan and an envelope say of it."""

from __future__ import annotations

import shutil

import pytest

from benchproof import envelope
from benchproof.errors import NotSupported, UsageError
from benchproof.guest import kernels
from benchproof.targets import KINDS
from tests.conftest import lab_in, why_unusable

needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
SHARED = "shares the host's network"


def target(kind: str, lab, **settings: object):
    if reason := why_unusable(kind):
        pytest.skip(reason)
    loaded = KINDS.load(kind)
    return loaded(loaded.Settings(**settings), lab)


def addresses(instance) -> bytes:
    """The kernel's table of its own addresses."""
    return instance.run([instance.probe, "cat", "/proc/net/fib_trie"], timeout_s=60).stdout


@needs_qemu
def test_a_guest_with_the_hosts_network_and_its_clones_have_an_address(lab):
    guest = target("qemu", lab, network="host", accel="tcg")
    with guest.start() as instance:
        assert b"10.0.2.15" in addresses(instance)
        image = instance.freeze()
        with image.start() as clone:
            assert b"10.0.2.15" in addresses(clone)
        image.delete()


@needs_qemu
def test_a_guest_without_a_network_has_no_address_but_its_own(lab):
    with target("qemu", lab, accel="tcg").start() as instance:
        assert b"10.0.2.15" not in addresses(instance)


@needs_qemu
def test_a_card_with_nobody_behind_it_is_another_machine_than_one_with_the_hosts_network(lab):
    commands = [
        " ".join(target("qemu", lab, network=network).machine.command(wire="1", monitor="2"))
        for network in (False, True, "none", "host")
    ]
    assert [("virtio-net-pci" in each, "restrict=on" in each) for each in commands] == [
        (False, False),
        (True, True),
        (False, False),
        (True, False),
    ]


@needs_qemu
def test_a_kernel_without_a_driver_for_the_card_is_unsupported(lab):
    kind = KINDS.load("qemu")
    kernel = kernels.find(kind.Settings().kernel, lab.cache).path  # by its path it comes without modules
    with (
        pytest.raises(NotSupported, match="no driver for the guest's network card"),
        target("qemu", lab, kernel=str(kernel), network="host", start="cold").start(),
    ):
        pass


def test_a_guest_that_counts_instructions_has_no_network():
    with pytest.raises(UsageError, match="exact: expected no network"):
        KINDS.load("qemu").Settings(network="host", exact=True)


@pytest.mark.parametrize("kind", ["qemu", "gvisor", "bwrap"])
def test_what_shares_the_hosts_network_says_so_beside_its_name(kind, host_probe, tmp_path):
    facts = target(kind, lab_in(tmp_path, host_probe.path), network="host").facts()
    assert SHARED in envelope.labels(envelope.capture(facts, host_probe.facts))


def test_a_gvisor_sandbox_has_the_hosts_interfaces_only_where_the_plan_says_so(lab):
    with target("gvisor", lab).start() as alone, target("gvisor", lab, network="host").start() as shared:
        alone_sees, shared_sees = (
            each.run([each.probe, "cat", "/proc/net/dev"], timeout_s=60).stdout for each in (alone, shared)
        )
    assert len(alone_sees.splitlines()) < len(shared_sees.splitlines())
