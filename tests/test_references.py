"""A Linux guest on the same machine, and a target that is like another: the same settings, or a refusal."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from benchproof import calibration, plan
from benchproof.errors import UsageError
from benchproof.targets.settings import MACHINE

OWN = """
[targets.mine]
kind = "kernel"
image = "{image}"
memory = "64 MiB"
machine = "q35"
cpu = "Nehalem"
vcpus = 2
accel = "tcg"
options = ["-device", "virtio-rng-pci"]
cpus = "0"
forward = [{{ guest = 22 }}]
reference = "linux"

[targets.newer]
kind = "qemu"
kernel = "debian:linux-image-6.12-cloud-amd64"
like = "mine"
"""


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "kernel.elf"
    path.write_bytes(b"\x7fELF")
    return path


def parsed(text: str, image: Any = "", **changes: Any) -> plan.Plan:
    return plan.parse(tomllib.loads(text.format(image=image)), where="plan.toml", **changes)


def machine_of(found: plan.Plan, name: str) -> dict[str, Any]:
    return {key: getattr(found.targets[name][1], key) for key in MACHINE}


def test_a_linux_guest_on_the_same_machine_is_added_and_ratios_are_to_it(image):
    found = parsed(OWN, image)
    assert list(found.targets) == ["mine-linux", "mine", "newer"]
    assert found.references == {"mine-linux": "mine-linux", "mine": "mine-linux", "newer": "mine-linux"}
    assert found.targets["mine-linux"][0] == "qemu"
    expected = machine_of(found, "mine") | {"network": True}
    assert machine_of(found, "mine-linux") == machine_of(found, "newer") == expected
    assert (expected["cpu"], expected["memory"], expected["vcpus"]) == ("Nehalem", 64 << 20, 2)
    assert {case.target for case in found.cases} == set(found.targets)


def test_the_document_stays_as_it_was_written_and_is_read_again_in_the_same_way(image):
    found = parsed(OWN, image)
    assert list(found.document["targets"]) == ["mine", "newer"]
    again = plan.parse(found.document, where="run", recorded=True)
    assert (again.targets, again.references) == (found.targets, found.references)


def test_a_target_of_the_plan_that_is_called_linux_is_the_one_that_is_meant(image):
    found = parsed(OWN + '[targets.linux]\nkind = "qemu"\n', image)
    assert list(found.targets) == ["mine", "newer", "linux"]
    assert found.references["mine"] == "linux"


def test_targets_on_one_machine_share_a_guest_and_others_do_not():
    text = "".join(f'[targets.{name}]\nkind = "qemu"\nreference = "linux"\nvcpus = {n}\n' for name, n in SOME)
    found = parsed(text)
    assert found.references == {
        "a-linux": "a-linux",
        "a": "a-linux",
        "b": "a-linux",
        "c-linux": "c-linux",
        "c": "c-linux",
    }


SOME = (("a", 1), ("b", 1), ("c", 2))


def test_a_guest_for_each_combination_of_a_matrix_that_is_another_machine():
    found = parsed('[targets.a]\nkind = "qemu"\nreference = "linux"\nmatrix = {{ vcpus = [1, 2] }}')
    assert found.references["a/vcpus=2"] == "a/vcpus=2-linux"
    assert found.targets["a/vcpus=2-linux"][1].vcpus == 2


def test_an_exact_target_has_an_exact_reference():
    found = parsed('[targets.a]\nkind = "qemu"\nexact = true\nreference = "linux"')
    assert found.exact == {"a", "a-linux"}
    document, _ = plan.counted(tomllib.loads('[targets.a]\nkind = "qemu"\nreference = "linux"'))
    assert plan.parse(document, where="x").exact == {"a", "a-linux"}


def test_a_guest_of_another_architecture_has_a_kernel_of_that():
    arm = parsed('[targets.a]\nkind = "qemu"\nkernel = "debian:linux-image-rt-arm64"\nreference = "linux"')
    assert arm.targets["a-linux"][1].kernel == "debian:linux-image-cloud-arm64"
    with pytest.raises(UsageError, match=r"targets\.a: reference: no Linux kernel is known for m68k"):
        parsed('[targets.a]\nkind = "qemu"\nemulator = "qemu-system-m68k"\nreference = "linux"')


def test_choosing_a_target_keeps_its_guest_and_the_gates_on_it(image):
    gate = '[gates."syscall.getpid"]\ntarget = "mine-linux"\nstatistic = "max"\nlimit = "< 1 s"\n'
    document = tomllib.loads((OWN + gate).format(image=image))
    for names in (("mine",), ("mine", "mine-linux")):
        chosen = plan.parse(plan.only(document, targets=names, benchmarks=()), where="x")
        assert list(chosen.targets) == ["mine-linux", "mine"]
        assert [each.target for each in chosen.gates] == ["mine-linux"]
    with pytest.raises(UsageError, match="'mine-linux' is only there as the reference of 'mine'"):
        plan.only(document, targets=("mine-linux",), benchmarks=())


def test_the_noise_of_such_targets_can_be_studied(image):
    document = tomllib.loads(OWN.format(image=image))
    for name in ("mine-linux", "newer"):
        study = calibration.study_document(document, plan.parse(document, where="x"), name, blocks=6, copies=2)
        assert {each.memory for _, each in plan.parse(study, where="x").targets.values()} == {64 << 20}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('like = "mien"', "expected a target with a machine of its own, found 'mien'; did you mean 'mine'"),
        ("like = 5", "expected a target with a machine of its own, found '5'"),
        ('like = "newest"', "found 'newest'"),
        ('like = "newer"', "found 'newer'"),
        ('like = "mine"\nvcpus = 3', "vcpus: it is that of 'mine', which this target is like; leave it out"),
        ('like = "mine"\nnetwork = false', "network: it is that of 'mine'"),
        ('like = "mine"\nexact = true', "exact: it is that of 'mine'"),
    ],
)
def test_a_likeness_that_cannot_be_is_refused(more, words, image):
    with pytest.raises(UsageError, match=r"targets\.newest") as caught:
        parsed(OWN + f'[targets.newest]\nkind = "qemu"\n{more}\n', image)
    assert words in str(caught.value)


def test_a_target_that_has_the_name_of_a_guest_to_come_is_refused():
    with pytest.raises(UsageError, match=r"targets\.a-linux: that is what the reference of 'a' is called"):
        parsed('[targets.a]\nkind = "qemu"\nreference = "linux"\n[targets.a-linux]\nkind = "qemu"\nvcpus = 2\n')


def test_the_host_has_no_machine_that_a_guest_could_have():
    with pytest.raises(UsageError, match="reference: unknown target 'linux'"):
        parsed('[targets.host]\nreference = "linux"')
