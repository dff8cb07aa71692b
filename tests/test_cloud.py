"""Whose machine it is, from files alone; nothing that names a person, an account or an address."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchproof import cloud, envelope
from benchproof.errors import UsageError
from benchproof.targets.settings import refuse_unreadable

# The shapes are those of cloud-init 24 on the two providers, with names, accounts and numbers made up.
EC2 = {
    "v1": {
        "cloud_name": "aws",
        "region": "us-east-2",
        "availability_zone": "us-east-2b",
        "instance_id": "i-0123",
        "local_hostname": "ip-10-0-0-1",
    },
    "ds": {
        "dynamic": {
            "instance_identity": {"document": {"accountId": "42", "imageId": "ami-1", "instanceType": "c7i.xlarge"}}
        },
        "meta_data": {"ami_id": "ami-1", "public_ipv4": "192.0.2.7"},
    },
}
GCE = {
    "v1": {"cloud_name": "gce", "region": "europe-west3", "availability_zone": "europe-west3-b"},
    "ds": {
        "instance": {
            "machine-type": "projects/4711/machineTypes/n2-highcpu-8",
            "image": "projects/4711/global/images/d12",
        }
    },
}


def machine(root: Path, dmi: dict[str, str], data: Any = None, *, name: str = "instance-data.json") -> Path:
    (root / "sys/class/dmi/id").mkdir(parents=True, exist_ok=True)
    for key, value in dmi.items():
        (root / "sys/class/dmi/id" / key).write_text(f"{value}\n")
    (root / "run/cloud-init").mkdir(parents=True, exist_ok=True)
    if data is not None:
        (root / "run/cloud-init" / name).write_text(data if isinstance(data, str) else json.dumps(data))
    return root


def test_provider_type_image_and_firmware_are_told(tmp_path):
    dmi = {"sys_vendor": "Amazon EC2", "product_name": "c7i.xlarge", "bios_vendor": "Amazon EC2", "bios_version": "1.0"}
    assert cloud.facts(machine(tmp_path, dmi | {"product_serial": "secret"}, EC2)) == {
        "machine_vendor": "Amazon EC2",
        "machine_model": "c7i.xlarge",
        "firmware_vendor": "Amazon EC2",
        "firmware_version": "1.0",
        "cloud": "aws",
        "cloud_region": "us-east-2",
        "cloud_zone": "us-east-2b",
        "instance_type": "c7i.xlarge",
        "image": "ami-1",
    }


def test_a_project_in_front_of_a_name_is_left_out(tmp_path):
    found = cloud.facts(machine(tmp_path, {"sys_vendor": "Google"}, GCE))
    assert (found["instance_type"], found["image"], found["cloud_zone"]) == ("n2-highcpu-8", "d12", "europe-west3-b")
    assert "4711" not in str(found)


def test_what_only_root_may_see_is_taken_where_it_can_be_read(tmp_path):
    hidden = EC2 | {"ds": "redacted for non-root user"}
    machine(tmp_path, {}, hidden)
    assert "instance_type" not in cloud.facts(tmp_path)
    machine(tmp_path, {}, EC2, name="instance-data-sensitive.json")
    assert cloud.facts(tmp_path)["instance_type"] == "c7i.xlarge"


@pytest.mark.parametrize("data", ["", "{", "[]", '"x"', "null", "[" * 100_000, '{"v1": 3, "ds": [1]}', "\x00"])
def test_a_damaged_file_tells_nothing(tmp_path, data):
    assert cloud.facts(machine(tmp_path, {}, data)) == {}


def test_a_machine_without_such_files_tells_nothing(tmp_path):
    assert cloud.facts(tmp_path) == {}


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner, max_size=4)))
def test_every_fact_is_one_short_printable_line(tmp_path_factory, data):
    root = machine(tmp_path_factory.mktemp("m"), {}, json.dumps({"v1": {"cloud_name": data}, "ds": {"image": data}}))
    for value in cloud.facts(root).values():
        assert value
        assert value.isprintable()
        assert len(value) <= 100


def test_an_isolated_cpuset_above_us_is_a_fact(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/lab/run\n")
    group = tmp_path / "sys/fs/cgroup/lab/run"
    group.mkdir(parents=True)
    (group / "cpuset.cpus.partition").write_text("member\n")
    assert envelope._partition(tmp_path) == ""
    (group.parent / "cpuset.cpus.partition").write_text("isolated\n")
    assert envelope._partition(tmp_path) == "isolated"


def test_a_kernel_that_only_root_may_read_is_refused_with_the_way_out(tmp_path, monkeypatch):
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(b"x")
    refuse_unreadable("kernel", str(kernel))
    monkeypatch.setattr(os, "access", lambda *_: False)  # a test that runs as root can read everything
    with pytest.raises(UsageError, match="copied into a folder of yours and name that"):
        refuse_unreadable("kernel", str(kernel))
