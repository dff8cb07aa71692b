"""Readers of other tools' files: recorded output, what it hides, and the same output cut, flipped and forged."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchproof.importers import FORMATS, Found, Glimpse, Imported, Unreadable, read_as
from benchproof.importing import recognised
from benchproof.model import Failed, Invalid, Unsupported, Unverified

DATA = Path(__file__).parent / "data"
OURS = ("kevlar", "capsem", "luminaguard", "sel4bench", "computesdk")
RECORDED = [
    (form, path)
    for form in OURS
    for path in sorted((DATA / form).rglob("*"))
    if path.suffix in {".txt", ".json", ".jsonl"}
]
SMALL = [(form, path) for form, path in RECORDED if path.stat().st_size < 10_000]
MIB = 2**20


def recorded(form: str, name: str) -> tuple[Imported, ...]:
    path = DATA / form / name
    return read_as(form, path.read_bytes(), path.name)


def one(runs: tuple[Imported, ...], benchmark: str, block: int = 0, **parameters: object) -> Found:
    found = [
        each
        for run in runs
        for each in run.results
        if each.benchmark == benchmark and each.block == block and parameters.items() <= each.parameters.items()
    ]
    assert len(found) == 1, found
    return found[0]


def samples(found: Found) -> dict[str, tuple[float, ...]]:
    assert isinstance(found.outcome, Unverified), found.outcome
    return {each.metric: each.samples for each in found.outcome.measurements}


def kinds(runs: tuple[Imported, ...]) -> Counter[str]:
    return Counter(type(each.outcome).__name__ for run in runs for each in run.results)


def kevlar(*lines: str, end: str = "\n") -> tuple[Imported, ...]:
    return read_as("kevlar", ("\n".join(lines) + end).encode(), "console")


def capsem(change: object, name: str = "lifecycle/data_0.16.1.json") -> tuple[Imported, ...]:
    document = json.loads((DATA / "capsem" / name).read_bytes())
    change(document)
    return read_as("capsem", json.dumps(document).encode(), "data_9.json")


def luminaguard(**entries: object) -> tuple[Imported, ...]:
    document = {"timestamp": "2026-02-15T03:38:05+00:00", "iterations": 100, **entries}
    return read_as("luminaguard", json.dumps(document).encode(), "f.json")


def summary(median: float, least: float | None = None, most: float | None = None) -> dict[str, float]:
    low, high = least or median, most or median
    return {"median": median, "p95": high, "p99": high, "min": low, "max": high, "std_dev": 0.1}


# ---- all of them ----


@pytest.mark.parametrize(("form", "path"), RECORDED, ids=lambda value: getattr(value, "name", value))
def test_every_recorded_file_is_read_whole(form, path):
    runs = read_as(form, path.read_bytes(), path.name)
    assert all(run.created_at.endswith("Z") and run.results for run in runs)
    assert {type(each.outcome) for run in runs for each in run.results} <= {Unverified, Failed, Unsupported, Invalid}
    for run in runs:
        if run.content:
            assert read_as(form, run.content, path.name) == (run,)


@pytest.mark.parametrize(("form", "path"), SMALL, ids=lambda value: getattr(value, "name", value))
def test_a_file_that_is_cut_anywhere_gives_no_number_that_the_whole_file_does_not_give(form, path):
    content = path.read_bytes()
    whole = {key(run, each): each for run in read_as(form, content, path.name) for each in run.results}
    for cut in range(0, len(content), max(1, len(content) // 100)):
        try:
            runs = read_as(form, content[:cut], path.name)
        except Unreadable as error:
            assert str(error).startswith(path.name)
            continue
        for run in runs:
            for each in run.results:
                if isinstance(each.outcome, Unverified):
                    assert each == whole[key(run, each)]


def key(run: Imported, found: Found) -> tuple[object, ...]:
    return run.created_at, found.benchmark, str(found.parameters), found.block


@pytest.mark.parametrize(("form", "path"), SMALL, ids=lambda value: getattr(value, "name", value))
@settings(max_examples=50)
@given(data=st.data())
def test_flipped_bytes_crash_nothing(form, path, data):
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
        content[place] = data.draw(st.integers(0, 255))
    read_or_refused(form, bytes(content))


@pytest.mark.parametrize("form", OURS)
@given(content=st.binary(max_size=200) | st.text('BENCH_STARTDx 0123456789\n{}[]":,', max_size=200).map(str.encode))
def test_no_bytes_crash_a_reader(form, content):
    read_or_refused(form, content)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**25) | st.floats(-1e3, 1e30) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths(node: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    found = [here]
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        found += paths(child, (*here, name))
    return found


PLACES = {
    (form, path): paths(json.loads(path.read_bytes().splitlines()[0] if path.suffix == ".jsonl" else path.read_bytes()))
    for form, path in RECORDED
    if path.suffix != ".txt" and path.stat().st_size < 10_000
}


@given(data=st.data())
def test_a_value_of_another_type_anywhere_is_refused_with_its_place_or_read_as_no_success(data):
    form, path = data.draw(st.sampled_from(sorted(PLACES, key=str)))
    content = path.read_bytes()
    document = json.loads(content.splitlines()[0] if path.suffix == ".jsonl" else content)
    *above, last = data.draw(st.sampled_from(PLACES[form, path][1:]))
    node = document
    for step in above:
        node = node[step]
    node[last] = data.draw(VALUES)
    read_or_refused(form, json.dumps(document).encode())


def read_or_refused(form: str, content: bytes) -> None:
    """Nothing but these two ends; and what is read is finite and can be stored."""
    try:
        runs = read_as(form, content, "f")
    except Unreadable as error:
        assert "\n" not in str(error)
        assert str(error).startswith("f")
        return
    for run in runs:
        for each in run.results:
            assert (each.target + each.benchmark).isprintable()
            if isinstance(each.outcome, Unverified):
                assert all(math.isfinite(sample) for m in each.outcome.measurements for sample in m.samples)


def test_names_carry_no_commands_to_a_terminal():
    (run,) = read_as(
        "computesdk",
        json.dumps(
            {
                "timestamp": "2026-01-01T00:00:00Z",
                "results": [{"provider": "\x1b[2Ja\u202eb", "iterations": [{"ttiMs": 0, "error": "\x07bell"}]}],
            }
        ).encode(),
        "f",
    )
    assert run.results[0].target == r"\x1b[2Ja\u202eb"
    assert run.results[0].outcome == Failed(violations=(r"\x07bell",))


@pytest.mark.parametrize("form", OURS)
def test_every_format_recognises_its_own_files_and_no_other_does(form):
    for path in (path for each, path in RECORDED if each == form):
        assert recognised(path.read_bytes(), path.name) == form


# ---- Kevlar ----


def test_a_total_is_one_sample_computed_anew():
    runs = recorded("kevlar", "linux-on-hvf-baseline.txt")
    assert kinds(runs) == {"Unverified": 54}
    assert (runs[0].created_at, runs[0].results[0].target) == ("2026-04-24T10:56:45Z", "Linux-on-HVF")
    getpid = one(runs, "kevlar.getpid").outcome.measurements[0]
    assert (getpid.samples, getpid.iterations, getpid.unit) == ((138313333 / 1000000,), 1000000, "ns")
    assert samples(one(runs, "kevlar.gettid")) == {"kevlar.gettid.latency": (0.74225,)}
    assert samples(one(runs, "kevlar.pipe_throughput")) == {"kevlar.pipe_throughput.throughput": (6802.7 * MIB,)}


def test_a_system_call_that_did_not_happen_is_marked():
    runs = recorded("kevlar", "linux-on-hvf-baseline.txt")
    marked = {each.benchmark for each in runs[0].results if "implausible" in each.evidence}
    assert marked == {"kevlar.gettid", "kevlar.brk"}
    assert sum("no system call happened" in note for note in runs[0].notes) == 2


def test_a_start_line_does_not_name_the_system():
    (run,) = kevlar("BENCH_START kevlar", "BENCH getpid 10 20000 2000", "BENCH_END")
    assert run.results[0].target == "unnamed"
    assert any("--target" in note for note in run.notes)


def test_what_was_skipped_is_unsupported():
    runs = kevlar("BENCH_START kevlar", "BENCH_SKIP read_null", "BENCH_SKIP readlink (symlink failed)", "BENCH_END")
    assert one(runs, "kevlar.readlink").outcome == Unsupported(reason="symlink failed")
    assert isinstance(one(runs, "kevlar.read_null").outcome, Unsupported)


def test_a_benchmark_of_which_only_a_part_worked_is_failed():
    runs = kevlar(
        "BENCH_START kevlar",
        "BENCH_SKIP fork_exit (fork failed at iter 7)",
        "BENCH fork_exit 7 7000000 1000000",
        "BENCH_END",
    )
    assert one(runs, "kevlar.fork_exit").outcome == Failed(
        violations=("only a part of it worked: fork failed at iter 7",)
    )


def test_a_transcript_without_its_end_is_a_partial_set_and_says_what_is_missing():
    runs = kevlar("BENCH_START kevlar", "BENCH getpid 10 20000 2000", "BENCH read_null 10 30000 3000")
    assert samples(one(runs, "kevlar.getpid")) == {"kevlar.getpid.latency": (2000.0,)}
    assert "no BENCH_END after 'BENCH read_null 10 30000 3000'" in one(runs, "kevlar.suite").outcome.reason
    assert {each.benchmark for each in runs[0].results if isinstance(each.outcome, Invalid)} == {
        "kevlar.suite",
        *(f"kevlar.{name}" for name in ("write_null", "pipe", "fork_exit", "open_close", "mmap_fault", "stat")),
    }


def test_a_line_that_is_cut_gives_no_number():
    runs = kevlar("BENCH_START kevlar", "BENCH getpid 10 20000 2000", "BENCH read_null 10 30000 300", end="")
    assert not [each for each in runs[0].results if each.benchmark == "kevlar.read_null" and samples_of(each)]
    assert "line 3: the transcript ends in the middle of it" in one(runs, "kevlar.suite").outcome.reason


def samples_of(found: Found) -> bool:
    return isinstance(found.outcome, Unverified)


def test_what_came_before_a_user_fault_stands_and_the_suite_is_failed():
    """D035: a general protection fault in user space ends fork and the later benchmarks."""
    runs = kevlar(
        "BENCH_START kevlar",
        "BENCH_MODE quick",
        "BENCH getpid 10000 22336000000 2233600",
        "BENCH read_null 5000 21445000000 4289000",
        "BENCH write_null 5000 20823000000 4164600",
        "BENCH pipe 32 1175000000 36718750",
        "[   12.31] GENERAL_PROTECTION_FAULT in pid 1 at rip=401b22",
    )
    assert samples(one(runs, "kevlar.pipe")) == {"kevlar.pipe.latency": (36718750.0,)}
    assert isinstance(one(runs, "kevlar.fork_exit").outcome, Invalid)
    suite = one(runs, "kevlar.suite").outcome
    assert "line 7: [   12.31] GENERAL_PROTECTION_FAULT" in suite.violations[0]
    assert any("quick mode" in note for note in runs[0].notes)


def test_what_came_after_a_kernel_fault_is_failed():
    runs = kevlar(
        "BENCH_START kevlar",
        "BENCH getpid 10 20000 2000",
        "BUG: unable to handle page fault for address: 0000",
        "BENCH stat 10 30000 3000",
        "BENCH gettid 10 30000 3000",
        "BENCH_END",
    )
    assert isinstance(one(runs, "kevlar.getpid").outcome, Unverified)
    for name in ("stat", "gettid", "suite"):
        assert "line 3: BUG: unable" in one(runs, f"kevlar.{name}").outcome.violations[0]


def test_after_a_user_fault_only_the_benchmark_in_which_it_happened_is_failed():
    runs = kevlar(
        "BENCH_START kevlar",
        "sh[12]: segfault at 0 ip 0",
        "BENCH shell_noop 10 30000 3000",
        "BENCH pipe_grep 10 30000 3000",
        "BENCH_END",
    )
    assert isinstance(one(runs, "kevlar.shell_noop").outcome, Failed)
    assert isinstance(one(runs, "kevlar.pipe_grep").outcome, Unverified)


def test_other_output_that_runs_into_a_report_takes_its_number_away():
    runs = kevlar(
        "BENCH_START kevlar",
        "[ 1.2] eth0 upBENCH getpid 10 20000 2000",
        "BENCH read_null 10 30[ 1.3] eth1 up",
        "BENCH stat 10 30000 3000",
        "BENCH_END",
    )
    assert {each.benchmark for each in runs[0].results} == {"kevlar.stat", "kevlar.suite"}
    reason = one(runs, "kevlar.suite").outcome.reason
    assert "line 2: a report that other output ran into" in reason
    assert "line 3: a report that is no whole one" in reason


def test_kernel_messages_between_reports_change_nothing():
    plain = kevlar("BENCH_START kevlar", "BENCH stat 10 30000 3000", "BENCH_END")
    noisy = kevlar(
        "SeaBIOS",
        "BENCH_START kevlar",
        "[ 0.1] random: crng init done\r",
        "\x1b[32mBENCH stat 10 30000 3000\x1b[0m",
        "BENCH_END",
    )
    assert samples(one(plain, "kevlar.stat")) == samples(one(noisy, "kevlar.stat"))
    assert kinds(noisy) == {"Unverified": 1}


def test_a_line_that_contradicts_itself_is_invalid():
    for line in ("BENCH stat 10 30000 2999", "BENCH stat 0 30000 3000", "BENCH stat 10 0 0"):
        assert isinstance(one(kevlar("BENCH_START kevlar", line, "BENCH_END"), "kevlar.stat").outcome, Invalid)


def test_of_two_reports_of_one_benchmark_none_counts():
    runs = kevlar("BENCH_START kevlar", "BENCH stat 10 30000 3000", "BENCH stat 10 20000 2000", "BENCH_END")
    assert one(runs, "kevlar.stat").outcome == Invalid(reason="reported 2 times, in lines 2 and 3")


def test_a_second_start_in_one_transcript_is_a_second_invocation():
    section = ("BENCH_START kevlar", "BENCH stat 10 30000 3000", "BENCH_END")
    runs = kevlar(*section, *section)
    assert [each.block for each in runs[0].results] == [0, 1]
    assert kinds(runs) == {"Unverified": 2}


# ---- capsem ----


def test_each_value_of_a_life_cycle_is_an_invocation():
    runs = recorded("capsem", "lifecycle/data_0.16.1.json")
    assert (runs[0].tool, runs[0].version, runs[0].labels) == ("capsem lifecycle", "0.1.0", {"version": "0.16.1"})
    assert [samples(one(runs, "capsem.lifecycle.exec_ready", block)) for block in range(3)] == [
        {"capsem.lifecycle.exec_ready.latency": (value,)} for value in (1200.0e6, 580.7e6, 576.2e6)
    ]
    newer = recorded("capsem", "lifecycle/data_1.3.1781720230.json")
    assert newer[0].version == "0.2.0"
    assert newer[0].notes == ()


def test_the_size_of_an_image_is_in_mebibytes():
    runs = recorded("capsem", "fork/data_0.16.1.json")
    measured = one(runs, "capsem.fork.image_size").outcome.measurements[0]
    assert (measured.unit, measured.samples) == ("bytes", (7.86 * MIB,))


def test_a_zero_is_a_failure_and_so_is_the_sum_that_it_is_in():
    def nothing_to_delete(document):
        document["operations"]["delete_ms"]["values"][1] = 0.0

    runs = capsem(nothing_to_delete)
    assert isinstance(one(runs, "capsem.lifecycle.delete", 1).outcome, Failed)
    assert isinstance(one(runs, "capsem.lifecycle.total", 1).outcome, Failed)
    assert isinstance(one(runs, "capsem.lifecycle.exec", 1).outcome, Unverified)


def test_what_does_not_follow_from_the_values_is_said():
    def better_mean(document):
        document["operations"]["exec_ms"]["mean"] = 20.0
        document["operations"]["total_ms"]["values"][0] = 900.0

    notes = capsem(better_mean)[0].notes
    assert "$.operations.exec_ms: its mean 20 does not follow from its values (22.1667)" in notes
    assert any("value 0 is 900" in note for note in notes)


def test_a_run_without_a_value_is_missing_and_a_value_without_a_run_is_refused():
    runs = capsem(lambda document: document["operations"]["exec_ms"]["values"].pop())
    assert isinstance(one(runs, "capsem.lifecycle.exec", 2).outcome, Invalid)
    with pytest.raises(Unreadable, match=r"operations.exec_ms: 4 values of 3 runs"):
        capsem(lambda document: document["operations"]["exec_ms"]["values"].append(1.0))


def test_a_version_that_is_not_known_is_refused():
    with pytest.raises(Unreadable, match=r"\$.version: expected 0.1.0 or 0.2.0 of a document with operations, found"):
        capsem(lambda document: document.update(version="0.4.0"))


def test_the_guest_writes_mebibytes_a_second_and_calls_them_mbps():
    runs = recorded("capsem", "guest/data_1.0.1777065213_arm64.json")
    disk = one(runs, "capsem.disk.rand_write_4k")
    assert samples(disk) == {
        "capsem.disk.rand_write_4k.throughput": (28.1 * MIB,),
        "capsem.disk.rand_write_4k.rate": (7188.9,),
    }
    assert disk.outcome.measurements[0].iterations == 10000
    assert runs[0].facts["machine"] == {"architecture": "arm64"}
    assert "hostname" not in str(runs[0].facts)
    assert samples(one(runs, "capsem.throughput")) == {"capsem.throughput.download": (23.39 * MIB,)}
    assert [samples(one(runs, "capsem.startup", block, name="node")) for block in range(3)] == [
        {"capsem.startup.latency": (value * 1e6,)} for value in (25.7, 23.3, 26.9)
    ]
    assert samples(one(runs, "capsem.http"))["capsem.http.latency.published_p95"] == (197.6e6,)
    assert samples(one(runs, "capsem.snapshot.revert", files=100)) == {"capsem.snapshot.revert.latency": (271.4e6,)}


def test_a_nested_storage_section_is_read_to_its_leaves():
    runs = recorded("capsem", "guest/data_1.3.1781050981_arm64.json")
    assert kinds(runs) == {"Unverified": 129, "Unsupported": 2}
    assert one(runs, "capsem.http").outcome.missing.startswith("set CAPSEM_BENCH_MITM_LOCAL_BASE_URL")
    leaf = one(runs, "capsem.storage.writable.io_profile.random.write_4k_sync", path="/run")
    assert samples(leaf)["capsem.storage.writable.io_profile.random.write_4k_sync.latency.published_p99"] == (0.138e6,)
    assert leaf.parameters["sync_each"] is True


def test_a_random_read_of_holes_is_marked_and_one_of_real_files_is_not():
    runs = recorded("capsem", "guest/data_1.3.1781050981_arm64.json")
    assert "holes" in one(runs, "capsem.disk.rand_read_4k").evidence["doubt"]
    assert "holes" not in one(runs, "capsem.rootfs.rand_read_4k").evidence["doubt"]
    assert any("holes" in note for note in runs[0].notes)


GUEST = "guest/data_1.0.1777065213_arm64.json"


@pytest.mark.parametrize(
    ("change", "benchmark", "words"),
    [
        (lambda d: d["snapshot"]["10_files"].update(delete_ms=0.0), "snapshot.delete", "0 ms was written"),
        (lambda d: d["snapshot"]["10_files"].update(create_ok=False), "snapshot.create", "591.3 ms was written"),
        (lambda d: d["http"].update(failed=3, successful=47), "http", "3 of 50 requests failed"),
        (lambda d: d.update(throughput={"error": "curl failed (exit 6)"}), "throughput", "curl failed"),
        (lambda d: d["throughput"].update(http_code=403), "throughput", "status 403"),
        (lambda d: d["disk"]["seq_read"].update(throughput_mbps=0.0), "disk.seq_read", "a rate of 0"),
        (
            lambda d: d["rootfs"].update(rand_read_4k={"count": 0, "error": "no files found"}),
            "rootfs.rand_read_4k",
            "no",
        ),
    ],
)
def test_a_failure_written_as_a_number_is_failed(change, benchmark, words):
    runs = capsem(change, GUEST)
    failed = [each for each in runs[0].results if isinstance(each.outcome, Failed)]
    assert [each.benchmark for each in failed] == [f"capsem.{benchmark}"]
    assert words in failed[0].outcome.violations[0]


def test_a_start_without_a_timing_is_failed_and_requests_that_do_not_add_up_are_invalid():
    runs = capsem(lambda document: document["startup"]["commands"]["node"]["timings_ms"].pop(), GUEST)
    lost = one(runs, "capsem.startup", 2, name="node").outcome
    assert lost == Failed(violations=("1 of 3 starts failed and have no timing",))
    runs = capsem(lambda document: document["http"].update(successful=10), GUEST)
    assert isinstance(one(runs, "capsem.http").outcome, Invalid)


def test_a_rate_that_is_not_bytes_by_duration_is_said():
    runs = capsem(lambda document: document["disk"]["seq_write"].update(throughput_mbps=3000.0), GUEST)
    expected = "268435456 bytes in 113.5 ms are not 3000 MiB/s"
    assert any(expected in note for note in runs[0].notes)
    assert not any("MiB/s" in note for note in recorded("capsem", GUEST)[0].notes)


def test_a_section_that_is_not_known_is_named():
    runs = capsem(lambda document: document.update(dns_load={"qps": 3}), GUEST)
    assert "$.dns_load is not read: no format of it is known" in runs[0].notes


# ---- LuminaGuard ----


def test_nothing_of_the_rust_baseline_is_a_measurement():
    runs = recorded("luminaguard", "rust_baseline_20260215_033805.json")
    reasons = {each.benchmark: each.outcome.reason for each in runs[0].results}
    assert "sleeps for 110 ms" in reasons["luminaguard.spawn_time"]
    assert "sleeps for 10 ms" in reasons["luminaguard.network_latency"]
    assert "not memory: 2e-05 are the milliseconds" in reasons["luminaguard.memory"]
    assert "not a share of a CPU" in reasons["luminaguard.cpu"]
    assert one(runs, "luminaguard.spawn_time").evidence["published_median"] == "110.195613 ms"


def test_nothing_of_the_pretended_agents_is_a_measurement():
    runs = recorded("luminaguard", "concurrent_5_agents_20260215_040744.json")
    assert kinds(runs) == {"Invalid": 21}


def test_a_tool_that_is_a_method_of_a_string_did_not_run():
    runs = recorded("luminaguard", "agent_baseline_20260215_033200.json")
    invalid = {each.benchmark for each in runs[0].results if isinstance(each.outcome, Invalid)}
    assert invalid == {"luminaguard.agent_loop", "luminaguard.tool.search", "luminaguard.cpu"}
    command = one(runs, "luminaguard.tool.execute_command")
    assert samples(command)["luminaguard.tool.execute_command.latency.published_median"] == (1.0969220020342618e6,)
    assert command.evidence["n"] == "100"
    assert samples(one(runs, "luminaguard.memory")) == {"luminaguard.memory.size": (28.9765625 * MIB,)}


def test_what_may_have_been_measured_is_kept_as_the_statistic_that_it_is():
    memory = {
        "median": 195.3,
        "p95": 198.5,
        "p99": 201.2,
        "min": 190.0,
        "max": 205.0,
        "std_dev": 3.2,
        "meets_target": True,
    }
    runs = luminaguard(memory_mb=memory, spawn_time_ms=summary(109.8, 101.0, 120.0))
    assert samples(one(runs, "luminaguard.memory"))["luminaguard.memory.size.published_p95"] == (198.5 * MIB,)
    assert isinstance(one(runs, "luminaguard.spawn_time").outcome, Unverified)


@pytest.mark.parametrize(
    ("entries", "benchmark", "words"),
    [
        ({"cpu_percent": summary(130.0)}, "cpu", "130 % of a CPU"),
        ({"spawn_time_ms": summary(110.2, 110.16, 112.62)}, "spawn_time", "sleeps for 110 ms"),
        ({"spawn_time_ms": {**summary(100.0), "p95": 90.0}}, "spawn_time", "median 100 is over p95 90"),
        ({"memory_mb": summary(0.05)}, "memory", "no process is so small"),
        (
            {"spawn_time_ms": 110.0, "memory_mb": 150.0, "cpu_percent": 30.0, "network_latency_ms": 40.0},
            "memory",
            "literals of the program",
        ),
    ],
)
def test_what_cannot_be_is_invalid(entries, benchmark, words):
    assert words in one(luminaguard(**entries), f"luminaguard.{benchmark}").outcome.reason


def test_agents_that_are_missing_are_missing():
    document = json.loads((DATA / "luminaguard" / "concurrent_5_agents_20260215_040744.json").read_bytes())
    del document["agent_results"][3:]
    runs = luminaguard(**document | {"iterations": 1})
    assert "5 agents were started, 3 are in the file" in one(runs, "luminaguard.agent_spawn", 3).outcome.reason


# ---- sel4bench ----


def test_each_line_is_a_run_with_its_commit():
    runs = recorded("sel4bench", "ODROID_C2_64.jsonl")
    assert len(runs) == 5
    assert runs[0].created_at == "2026-01-27T11:11:48Z"
    assert runs[0].labels == {"commit": "04db8ceb", "manifest": "0f9f0b9f", "workflow_run": "21394934647"}
    assert runs[0].facts == {"machine": {"platform": "ODROID_C2_64"}, "probe": {"sel4bench": "05b75695"}}
    found = one(runs[:1], "sel4bench.ipc_call")
    assert found.evidence == {"n": "16"}
    assert {each.unit for each in found.outcome.measurements} == {"cycles"}
    assert samples(found)["sel4bench.ipc_call.cycles.published_median"] == (281.0,)


def test_what_was_not_recorded_is_no_number():
    found = one(recorded("sel4bench", "ODROID_C2_64.jsonl")[:1], "sel4bench.irq_switch_early")
    assert samples(found) == {
        "sel4bench.irq_switch_early.cycles.published_mean": (792.0,),
        "sel4bench.irq_switch_early.cycles.published_stddev": (8.0,),
    }
    assert found.evidence["not_recorded"] == "min, q1, median, q3, max"


HEAD = {"ts": "2026-01-27T11:11:48Z", "sha": "a", "sha_kernel": "b", "sha_bench": "c", "run_id": 1}


def sel4bench(**metrics: object) -> tuple[Imported, ...]:
    return read_as("sel4bench", json.dumps(HEAD | metrics).encode(), "X.jsonl")


@pytest.mark.parametrize(
    ("numbers", "kind", "words"),
    [
        ([0, 0, 0, 0, 0, 0, 0.0, 16], Unsupported, "every statistic is 0"),
        ([1, 2, 3, 3, 4, 5, 1.0, 0], Unsupported, "n is 0"),
        ([1, 2, 3, 3, 2, 5, 1.0, 9], Invalid, "median 3 is over q3 2"),
        ([1, 2, 3, 9, 4, 5, 1.0, 9], Invalid, "mean 9 is not within 1 to 5"),
        ([-1, 2, 3, 3, 4, 5, 1.0, 9], Invalid, "min is -1"),
    ],
)
def test_statistics_that_cannot_be_are_no_measurement(numbers, kind, words):
    outcome = one(sel4bench(ipc_call=numbers), "sel4bench.ipc_call").outcome
    assert isinstance(outcome, kind)
    assert words in outcome.reason


def test_a_line_that_is_damaged_is_named_and_nothing_of_the_file_is_kept():
    for metrics, words in (
        ({"ipc_call": [1, 2, 3]}, "line 1, ipc_call: expected"),
        ({"ipc_call": "fast"}, r"line 1, ipc_call: Expected `array`"),
        ({"IPC call": [1] * 8}, "line 1: expected the key of a metric"),
    ):
        with pytest.raises(Unreadable, match=words):
            sel4bench(**metrics)
    good = json.dumps(HEAD | {"ipc_call": [1, 2, 3, 3, 4, 5, 1.0, 9]})
    with pytest.raises(Unreadable, match="line 2, column"):
        read_as("sel4bench", f"{good}\n{good[:-5]}".encode(), "X.jsonl")


# ---- computesdk ----


def test_a_start_that_failed_is_failed_and_not_a_fast_one():
    runs = recorded("computesdk", "sequential_tti_2026-04-30.json")
    assert kinds(runs) == {"Unverified": 1299, "Failed": 1}
    failed = next(each for each in runs[0].results if isinstance(each.outcome, Failed))
    assert (failed.target, failed.outcome.violations) == (
        "upstash",
        ("Failed to create Upstash box: Failed to create box",),
    )
    assert kinds(recorded("computesdk", "sequential_tti_2026-04-29.json")) == {"Unverified": 1200, "Failed": 100}


def test_figures_are_of_all_samples_and_the_trimmed_ones_are_only_told():
    runs = recorded("computesdk", "sequential_tti_2026-04-29.json")
    archil = [each for each in runs[0].results if each.target == "archil"]
    assert [each.block for each in archil] == list(range(100))
    assert max(samples(each)["computesdk.sandbox_start.latency"][0] for each in archil) == pytest.approx(5166.41e6)
    assert archil[0].evidence == {"trimmed_median_ms": "151.93", "trimmed_p95_ms": "315.2", "trimmed_p99_ms": "345.16"}
    assert not any("is not of its samples" in note for note in runs[0].notes)


def computesdk(**provider: object) -> tuple[Imported, ...]:
    document = {
        "timestamp": "2026-04-29T01:16:12.390Z",
        "config": {"iterations": 3},
        "results": [
            {"provider": "p", "iterations": [{"ttiMs": 5.0}, {"ttiMs": 0}, {"ttiMs": 7, "error": "x"}]} | provider
        ],
    }
    return read_as("computesdk", json.dumps(document).encode(), "f.json")


def test_a_zero_without_an_error_and_an_error_with_a_time_are_failed():
    assert kinds(computesdk()) == {"Unverified": 1, "Failed": 2}


def test_what_was_skipped_or_is_missing_is_said():
    skipped = computesdk(iterations=[], skipped=True, skipReason="Missing: P_API_KEY")
    assert skipped[0].results[0].outcome == Unsupported(reason="skipped", missing="Missing: P_API_KEY")
    missing = one(computesdk(iterations=[{"ttiMs": 5.0}]), "computesdk.sandbox_start", 1).outcome
    assert missing == Invalid(reason="3 iterations were asked for, 1 are in the file")


def test_a_published_figure_that_is_not_of_its_samples_is_said():
    notes = computesdk(summary={"ttiMs": {"median": 5, "p95": 5, "p99": 4}})[0].notes
    assert "p: its published p99 4 ms is not of its samples" in notes


def test_a_provider_that_is_there_twice_is_refused():
    document = {"timestamp": "2026-04-29T01:16:12Z", "results": [{"provider": "p", "iterations": [{"ttiMs": 5}]}] * 2}
    with pytest.raises(Unreadable, match="a provider is there twice"):
        read_as("computesdk", json.dumps(document).encode(), "f.json")


def test_a_file_with_too_many_results_is_refused(monkeypatch):
    monkeypatch.setattr("benchproof.importers.RESULTS_LIMIT", 2)
    with pytest.raises(Unreadable, match="3 results; no recorded file has more than 2"):
        computesdk()


def test_a_line_that_no_console_prints_is_refused():
    with pytest.raises(Unreadable, match="console: line 2: 2000000 characters"):
        kevlar("BENCH_START kevlar", "x" * 2_000_000)


def test_the_example_in_the_documentation_works():
    page = (DATA.parents[1] / "docs" / "importing.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "example", "exec", dont_inherit=True), names)  # noqa: S102 - our own page
    document = {"mytool": "1.0", "system": "mine", "times_ns": [1, 2.5]}
    (run,) = names["FORMAT"].read(json.dumps(document).encode(), "f")
    assert samples(run.results[0]) == {"mytool.call.latency": (1.0, 2.5)}
    assert names["FORMAT"].sniff(Glimpse(head="", document=document))
    with pytest.raises(Unreadable, match=r"f: \$.times_ns\[0\]: Expected `float` >= 0.0"):
        names["FORMAT"].read(json.dumps(document | {"times_ns": [-1]}).encode(), "f")


def test_every_reader_of_ours_is_tested_here():
    assert set(OURS) <= set(FORMATS.own)
