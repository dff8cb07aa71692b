"""The in-guest document: what is exported is read back by the importer of capsem's own, figure by figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import pytest

from benchproof import importers
from benchproof.analysis.matrix import Report
from benchproof.errors import UsageError
from benchproof.model import Unverified
from benchproof.reporters import FORMATS
from benchproof.suites import with_parameters
from exports import HOSTILE, passed, report, row, without_number

MIB = float(2**20)


def guest(*more: object) -> Report:
    """One target's figures of each category."""
    disk = {"size": 64 * MIB, "block": MIB, "folder": "/root"}
    small = {"size": 64 * MIB, "block": 4096.0, "operations": 1000}
    python = {"command": ["python3", "-c", "print(6*7)"], "expect": "42"}
    http = {"requests": 50, "connections": 5, "url": "", "size": 1024.0}
    rows = (
        row("disk.sequential_write.throughput", "bytes/s", {"vm": passed(512 * MIB)}, parameters=disk),
        row("disk.random_read.memory_rate", "op/s", {"vm": passed(20_000.0)}, parameters=small),
        row("disk.random_read.memory_throughput", "bytes/s", {"vm": passed(4096 * 20_000.0)}, parameters=small),
        row("rootfs.sequential_read.warm_throughput", "bytes/s", {"vm": passed(MIB)}, parameters={"size": 2 * MIB}),
        row("startup.command.warm_latency", "ns", {"vm": passed(4e6, 5e6, 9e6)}, parameters=python),
        row("startup.command.cold_latency", "ns", {"vm": passed(40e6, 50e6, 90e6)}, parameters=python),
        row("http.requests.latency", "ns", {"vm": passed(2e6)}, parameters=http),
        row("http.requests.latency_p99", "ns", {"vm": passed(7e6)}, parameters=http),
        row("http.requests.throughput", "op/s", {"vm": passed(468.0)}, parameters=http),
        row("http.download.throughput", "bytes/s", {"vm": passed(23 * MIB)}, parameters={"url": "", "size": 1e8}),
        row("snapshot.create.latency", "ns", {"vm": passed(591e6)}, parameters={"files": 10}),
        row("snapshot.list.latency", "ns", {"vm": passed(246e6)}, parameters={"files": 10}),
        row("snapshot.revert", None, {"vm": without_number("failed", HOSTILE)}, parameters={"files": 10}),
    )
    return msgspec.structs.replace(report(), rows=(*rows, *more), created_at="2026-11-21T12:00:00Z")


def render(found: Report) -> str:
    return str(FORMATS.load("capsem-guest")(found))


def test_the_document_has_the_keys_of_its_schema():
    document = json.loads(render(guest()))
    assert document["version"] == "0.3.0"
    assert document["timestamp"] == 1795262400.0
    assert [name for name in document if isinstance(document[name], dict)] == [
        "disk",
        "rootfs",
        "startup",
        "http",
        "throughput",
        "snapshot",
    ]
    assert document["disk"]["seq_write"]["throughput_mbps"] == 512
    assert document["disk"]["rand_read_4k"]["iops"] == 20_000
    assert "memory_rate" not in document["disk"]
    assert "memory_throughput" in document["disk"]["rand_read_4k"]["measured"]
    started = document["startup"]["commands"]["python3"]
    assert (started["min_ms"], started["mean_ms"], started["max_ms"]) == (4, 6, 9)
    assert document["http"]["requests_per_sec"] == 468
    assert document["http"]["latency_ms"] == {"p50": 2, "p99": 7}
    assert document["throughput"]["throughput_mbps"] == 23
    assert document["snapshot"]["10_files"] == {
        "create_ms": 591,
        "create_ok": True,
        "list_ms": 246,
        "list_ok": True,
    }


def test_the_importer_reads_every_figure_back():
    (imported,) = importers.FORMATS.load("capsem").read(render(guest()).encode(), "data_1.json")
    figures = {
        each.metric: each.samples[0]
        for found in imported.results
        if isinstance(found.outcome, Unverified)
        for each in found.outcome.measurements
    }
    assert figures["capsem.disk.seq_write.throughput"] == 512 * MIB
    assert figures["capsem.disk.rand_read_4k.rate"] == 20_000
    assert figures["capsem.rootfs.seq_read.throughput"] == MIB
    assert figures["capsem.startup.latency"] > 0
    assert figures["capsem.http.rate"] == 468
    assert figures["capsem.throughput.download"] == 23 * MIB
    assert figures["capsem.snapshot.create.latency"] == 591e6
    assert not [found for found in imported.results if not isinstance(found.outcome, Unverified)]


def test_what_did_not_pass_is_left_out_by_name_and_is_no_number():
    document = json.loads(render(guest()))
    assert "revert_ms" not in document["snapshot"]["10_files"]
    assert [each["status"] for each in document["left_out"]] == ["failed"]


def test_a_second_target_or_a_second_case_has_no_place():
    other = row("disk.sequential_read.throughput", "bytes/s", {"host": passed(1.0)}, parameters={"size": MIB})
    with pytest.raises(UsageError, match="figures of one target, found vm, host"):
        render(guest(other))
    again = row("disk.sequential_write.throughput", "bytes/s", {"vm": passed(1.0)}, parameters={"size": MIB})
    with pytest.raises(UsageError, match=r"one case of 'disk.sequential_write'"):
        render(guest(again))


def test_size_and_folder_go_to_the_disk_and_to_nothing_else():
    given = {"size": "8 MiB", "folder": "/root"}
    suites, count = with_parameters({"chosen": {"benchmarks": ["guest", "memory.memcpy"]}}, given, "disk.")
    items = suites["chosen"]["benchmarks"]
    assert count == 5
    changed = [each for each in items if isinstance(each, dict) and each.get("folder")]
    assert {each["name"].partition(".")[0] for each in changed} == {"disk"}
    assert "memory.memcpy" in items


def ran(tmp_path, *words, **variables):
    command = [sys.executable, "-m", "benchproof", "run", *words, "--home", str(tmp_path)]
    return subprocess.run(
        command, cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=120
    )


def test_an_option_for_the_disk_without_a_disk_is_refused(tmp_path):
    done = ran(tmp_path, "--targets", "host", "-b", "syscall.getpid", "--size-mb", "8")
    assert done.returncode == 2
    assert "--size-mb: expected a benchmark of disk.*" in done.stderr


def test_the_environment_names_the_size_and_the_folder_of_the_disk(tmp_path):
    """And of nothing else: the same variables are no trouble to who asks for something else."""
    (tmp_path / "there").mkdir()
    words = ("--targets", "host", "-b", "disk.random_read", "-b", "syscall.getpid", "--blocks", "1", "--quick")
    named = {"BENCHPROOF_BENCH_SIZE_MB": "2", "BENCHPROOF_BENCH_DIR": str(tmp_path / "there")}
    done = ran(tmp_path, *words, "--json", **named)
    assert done.returncode == 0, done.stderr
    asked = {each["benchmark"]: each["parameters"] for each in json.loads(done.stdout)["rows"]}
    assert (asked["disk.random_read"]["size"], asked["disk.random_read"]["folder"]) == (
        2 * MIB,
        str(tmp_path / "there"),
    )
    assert "size" not in asked["syscall.getpid"]


def test_no_more_operations_are_told_than_the_file_has_blocks():
    small = {"size": 2 * MIB, "block": 4096.0, "operations": 1000}
    more = row("disk.random_write.throughput", "bytes/s", {"vm": passed(MIB)}, parameters=small)
    found = json.loads(render(guest(more)))["disk"]
    assert (found["rand_write_4k"]["count"], found["rand_write_4k"]["duration_ms"]) == (512, 2000)
    assert found["rand_read_4k"]["count"] == 1000
