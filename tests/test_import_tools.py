"""Readers of general tools: what each recording says to the last digit, what failed in it, where it is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchproof import foreign
from benchproof.importers import FORMATS, Found, Imported, Unreadable, read_as
from benchproof.importing import recognised, take
from benchproof.model import Failed, Invalid, Unsupported, Unverified
from benchproof.store import bundle

DATA = Path(__file__).parent / "data"
TOOLS = (
    "hyperfine",
    "pyperf",
    "pytest-benchmark",
    "google-benchmark",
    "criterion",
    "fio",
    "iperf3",
    "wrk",
    "sysbench",
    "perf-stat",
)
REFUSED = {  # recordings that are no whole result, and what is said of them
    "google-benchmark/aborted.json": "line 154, column 6: not JSON: Expecting ',' delimiter",
    "perf-stat/per_cpu.csv": "line 3: counts by CPU or socket",
    "perf-stat/per_cpu.json": "line 3: counts by cpu",
}
RECORDED = [
    (tool, path)
    for tool in TOOLS
    for path in sorted((DATA / tool).rglob("*"))
    if path.is_file() and path.name not in {"README.md", "benchmark.json"}
]


def name_of(path: Path) -> str:
    return str(path.relative_to(DATA))


WHOLE = [(tool, path) for tool, path in RECORDED if name_of(path) not in REFUSED]
MIB = 2**20


def recorded(tool: str, name: str) -> Imported:
    (run,) = read_as(tool, (DATA / tool / name).read_bytes(), name)
    return run


def changed(tool: str, name: str, change: object) -> Imported:
    document = json.loads((DATA / tool / name).read_bytes())
    change(document)
    (run,) = read_as(tool, json.dumps(document).encode(), name)
    return run


def written(tool: str, text: str) -> Imported:
    (run,) = read_as(tool, text.encode(), "f")
    return run


def case(run: Imported, benchmark: str, block: int = 0, **parameters: object) -> Found:
    found = [
        each
        for each in run.results
        if each.benchmark == benchmark and each.block == block and parameters.items() <= each.parameters.items()
    ]
    assert len(found) == 1, found
    return found[0]


def samples(found: Found) -> dict[str, tuple[float, ...]]:
    assert isinstance(found.outcome, Unverified), found.outcome
    return {each.metric.removeprefix(f"{found.benchmark}."): each.samples for each in found.outcome.measurements}


def units(found: Found) -> dict[str, tuple[str, str]]:
    return {
        each.metric.removeprefix(f"{found.benchmark}."): (each.unit, each.better) for each in found.outcome.measurements
    }


# ---- all of them ----


@pytest.mark.parametrize(("tool", "path"), WHOLE, ids=lambda value: getattr(value, "name", value))
def test_every_recording_is_recognised_and_read(tool, path):
    content = path.read_bytes()
    assert recognised(content, "f") == tool
    (run,) = read_as(tool, content, str(path))
    assert run.results
    assert {each.target for each in run.results} == {"unnamed"}
    assert all(note.isprintable() for note in run.notes)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_result_is_refused_with_its_place(name):
    with pytest.raises(Unreadable, match=f"^f: {re.escape(REFUSED[name])}"):
        read_as(name.partition("/")[0], (DATA / name).read_bytes(), "f")


@pytest.mark.parametrize(("tool", "path"), WHOLE, ids=lambda value: getattr(value, "name", value))
def test_a_file_that_is_cut_gives_no_number_that_the_whole_file_does_not_give(tool, path):
    """Whole intervals of perf cannot be told from a shorter run: nothing ends its file."""
    content = path.read_bytes()
    whole = {identity(each): each for each in read_as(tool, content, "f")[0].results}
    for cut in range(0, len(content), max(1, len(content) // 60)):
        try:
            (run,) = read_as(tool, content[:cut], "f")
        except Unreadable as error:
            assert str(error).startswith("f: ")
            assert str(error).isprintable()
            continue
        if tool == "perf-stat" and path.stem == "intervals" and content[:cut].endswith(b"\n"):
            continue
        for each in run.results:
            assert isinstance(each.outcome, Failed | Invalid | Unsupported) or each == whole[identity(each)]


def identity(found: Found) -> tuple[str, str, int]:
    return found.benchmark, str(found.parameters), found.block


@pytest.mark.parametrize("tool", TOOLS)
def test_a_recording_becomes_a_run_that_is_still_what_the_file_says(tool, tmp_path):
    path = next(
        path for each, path in WHOLE if each == tool and path.stem in {"whole", "mix", "cpu", "suite", "tcp", "sample"}
    )
    (kept,) = take(path, tmp_path, target="guest-1").runs
    assert kept.targets == ("guest-1",)
    run = bundle.load(tmp_path / "runs" / kept.run_id)
    origin = foreign.origin_of(run)
    assert origin is not None
    assert list(foreign.differences(run, origin)) == []
    (again,) = take(path, tmp_path, target="guest-1").runs
    assert not again.new


@pytest.mark.parametrize("tool", TOOLS)
def test_rates_are_gains_and_all_else_is_a_cost(tool):
    for other, path in WHOLE:
        if other == tool:
            for each in read_as(tool, path.read_bytes(), "f")[0].results:
                for figure in getattr(each.outcome, "measurements", ()):
                    assert (figure.better == "higher") == (figure.unit in {"op/s", "bytes/s"}), figure.metric


@pytest.mark.parametrize("tool", TOOLS)
def test_a_file_of_another_tool_is_refused(tool):
    for other, path in WHOLE:
        if other != tool:
            with pytest.raises(Unreadable, match=r"^f: .+"):
                read_as(tool, path.read_bytes(), "f")


def test_no_machine_is_named_in_what_is_kept():
    for tool, path in WHOLE:
        (run,) = read_as(tool, path.read_bytes(), "f")
        facts = {value for section in run.facts.values() for value in section.values()}
        assert not facts & {"host", "127.0.0.1"}, tool


# ---- hyperfine ----


def test_each_time_of_hyperfine_is_an_invocation():
    run = recorded("hyperfine", "whole.json")
    assert [(each.parameters["command"], each.block) for each in run.results] == [
        (command, block) for command in ("true", "sleep 0.005") for block in range(10)
    ]
    times = [samples(case(run, "hyperfine.command", block, command="true"))["wall_time"] for block in range(10)]
    assert [round(time) for (time,) in times] == [
        933252,
        710664,
        736496,
        4024530,
        1819992,
        1016244,
        3165387,
        967585,
        1278432,
        4253704,
    ]
    assert all(len(each) == 1 for each in times)


def test_a_command_that_failed_under_hyperfine_has_no_time():
    run = recorded("hyperfine", "failing.json")
    assert {each.outcome for each in run.results} == {
        Failed(violations=("exit status 1",)),
        Failed(violations=("exit status 3",)),
    }


def test_a_time_of_0_is_what_hyperfine_took_off_for_its_shell():
    run = recorded("hyperfine", "parameters.json")
    assert [each.parameters for each in run.results[::4]] == [
        {"command": "seq", "n": "1"},
        {"command": "seq", "n": "10"},
    ]
    kinds = [type(each.outcome) for each in run.results]
    assert kinds == [Unverified, Invalid, Invalid, Invalid, Invalid, Unverified, Invalid, Invalid]
    assert any("-N" in note for note in run.notes)


def test_hyperfine_without_times_has_statistics_and_no_samples():
    def without_times(document):
        for each in document["results"]:
            del each["times"]

    found = case(changed("hyperfine", "whole.json", without_times), "hyperfine.command", command="true")
    assert set(samples(found)) == {f"wall_time.published_{word}" for word in ("mean", "stddev", "median", "min", "max")}
    assert samples(found)["wall_time.published_min"] == (pytest.approx(710664),)


def test_one_command_twice_under_hyperfine_is_two_cases():
    def twice(document):
        document["results"] = [document["results"][0]] * 2

    run = changed("hyperfine", "whole.json", twice)
    assert [each.parameters for each in run.results[::10]] == [
        {"command": "true"},
        {"command": "true", "occurrence": 2},
    ]


def test_hyperfine_says_what_a_signal_memory_and_missing_statuses_are():
    def change(document):
        first, second = document["results"]
        first["exit_codes"][0] = None
        first["memory_usage_byte"] = [4096] * 10
        del second["exit_codes"]

    run = changed("hyperfine", "whole.json", change)
    assert run.results[0].outcome == Failed(violations=("ended by a signal",))
    assert samples(run.results[1])["peak_memory"] == (4096,)
    assert any("a failure cannot be told" in note for note in run.notes)


def test_statuses_of_hyperfine_that_are_not_one_for_each_time_are_refused():
    with pytest.raises(Unreadable, match=r"\$\.results\[0\]\.exit_codes: 9 entries beside 10 times"):
        changed("hyperfine", "whole.json", lambda document: document["results"][0]["exit_codes"].pop())


# ---- pyperf ----


def test_each_process_of_pyperf_is_an_invocation_with_its_own_warmups():
    run = recorded("pyperf", "suite.json")
    assert (run.version, run.created_at) == ("2.10.0", "")
    assert run.facts["host"] == {
        "cpu": "Intel(R) Xeon(R) Processor @ 2.50GHz",
        "cpus": "2",
        "cpu_config": "idle:none",
        "address_randomisation": "Full randomization",
        "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
    }
    assert run.facts["system"]["python_version"] == "3.11.7 (64-bit)"
    assert [(each.benchmark, each.block) for each in run.results] == [
        (f"pyperf.{name}", block) for name in ("sort", "fsum") for block in range(3)
    ]
    (figure,) = case(run, "pyperf.sort", 1).outcome.measurements
    assert figure.samples == pytest.approx((3848.85400350754, 3719.11035124128, 4876.44726554493, 3859.235839343))
    assert figure.warmups == pytest.approx((3884.220703298524, 3828.892088719726))
    assert (figure.iterations, figure.unit) == (2048, "ns")


def test_inner_loops_of_pyperf_count_as_iterations():
    (figure,) = case(recorded("pyperf", "suite.json"), "pyperf.fsum").outcome.measurements
    assert figure.iterations == 20480
    assert figure.samples[0] == pytest.approx(364.6584472605241)


def test_calibration_of_pyperf_is_in_no_figure():
    assert "2 calibration runs of pyperf are in no figure" in recorded("pyperf", "suite.json").notes


def test_memory_of_pyperf_is_bytes():
    run = recorded("pyperf", "memory.json")
    assert [samples(each) for each in run.results] == [{"memory": (12521472.0,)}, {"memory": (12513280.0,)}]
    assert units(run.results[0]) == {"memory": ("bytes", "lower")}


def test_a_benchmark_of_pyperf_that_was_only_calibrated_is_invalid():
    def only_calibration(document):
        document["benchmarks"][0]["runs"] = document["benchmarks"][0]["runs"][:1]

    run = changed("pyperf", "suite.json", only_calibration)
    assert isinstance(case(run, "pyperf.sort").outcome, Invalid)


@pytest.mark.parametrize("value", [0, -1e-9, None, "1"])
def test_a_value_of_pyperf_that_is_no_time_is_refused(value):
    def change(document):
        document["benchmarks"][0]["runs"][1]["values"][0] = value

    with pytest.raises(Unreadable, match=r"^suite.json: \$\.benchmarks\[.*\]\.runs\[.*\]\.values\[.*\]: Expected"):
        changed("pyperf", "suite.json", change)


def test_another_version_or_unit_of_pyperf_is_refused():
    with pytest.raises(Unreadable, match=r"\$\.version: expected 1\.0, found '2\.0'"):
        changed("pyperf", "suite.json", lambda document: document.update(version="2.0"))
    with pytest.raises(Unreadable, match=r"expected a unit of second, byte, integer, found 'furlong'"):
        changed("pyperf", "suite.json", lambda document: document["metadata"].update(unit="furlong"))


# ---- pytest-benchmark ----


def test_a_test_of_pytest_benchmark_is_one_invocation_with_its_rounds():
    run = recorded("pytest-benchmark", "whole.json")
    assert (run.version, run.created_at) == ("5.3.1", "2026-11-21T06:08:58Z")
    assert run.labels == {
        "commit": "006e7599ea30a7fbcee535778799d6775cd9504e",
        "branch": "master",
        "project": "pb",
    }
    assert run.facts["host"] == {
        "kernel": "Linux 6.1.0",
        "architecture": "x86_64",
        "cpu": "Intel(R) Xeon(R) Processor @ 2.50GHz",
        "cpus": "2",
    }
    (figure,) = case(run, "pytest_benchmark.test_sums.py::test_sum").outcome.measurements
    assert (len(figure.samples), figure.iterations, figure.unit) == (92, 10, "ns")
    assert figure.samples[:2] == pytest.approx((939.2002539243549, 919.699959922582))
    assert sum(figure.samples) == pytest.approx(87048.30033821)  # stats.total
    sorted_ = case(run, "pytest_benchmark.test_sums.py::test_sorted[10]")
    assert sorted_.evidence == {
        "group": "sorting",
        "timer": "perf_counter",
        "rounds": "8",
        "extra_info": '{"elements": 10}',
    }


def test_pytest_benchmark_does_not_say_that_a_test_failed_and_the_run_does():
    run = recorded("pytest-benchmark", "whole.json")
    assert isinstance(case(run, "pytest_benchmark.test_sums.py::test_that_fails").outcome, Unverified)
    assert any("does not say which tests failed" in note for note in run.notes)


def test_five_number_summaries_of_pytest_benchmark_are_no_samples():
    run = recorded("pytest-benchmark", "without_data.json")
    figures = samples(case(run, "pytest_benchmark.test_sums.py::test_sum"))
    assert all(metric.startswith("time.published_") for metric in figures)
    assert figures["time.published_median"] == (pytest.approx(1997.9997887276113),)
    assert case(run, "pytest_benchmark.test_sums.py::test_sum").evidence["rounds"] == "57"


def test_rounds_of_pytest_benchmark_that_are_not_all_there_are_invalid():
    run = changed("pytest-benchmark", "whole.json", lambda document: document["benchmarks"][0]["stats"]["data"].pop())
    assert run.results[0].outcome == Invalid(reason="92 rounds are stated, 91 are there")


def test_uncommitted_changes_are_a_label_and_a_note():
    run = changed("pytest-benchmark", "whole.json", lambda document: document["commit_info"].update(dirty=True))
    assert run.labels["dirty"] == "yes"
    assert "the working tree had changes that are in no commit" in run.notes


# ---- Google Benchmark ----


def test_repetitions_of_google_benchmark_are_samples_of_one_invocation():
    run = recorded("google-benchmark", "whole.json")
    assert run.created_at == "2026-11-21T06:13:11Z"
    assert run.facts["host"] == {
        "cpus": "2",
        "cache L1 Data": "32768 bytes",
        "cache L1 Instruction": "32768 bytes",
        "cache L2 Unified": "1048576 bytes",
        "cache L3 Unified": "37486592 bytes",
        "cpu_scaling": "no",
    }
    found = case(run, "google_benchmark.BM_sum/64")
    assert samples(found) == {
        "real_time": (91.25979041533667, 72.93989241585713, 95.52267608558033),
        "cpu_time": (67.18939680651673, 54.89375180219147, 59.28104725346023),
        "throughput": (3810124992.447774, 4663554440.995232, 4318412238.998651),
        "rate": (952531248.1119435, 1165888610.248808, 1079603059.7496626),
    }
    assert {each.iterations for each in found.outcome.measurements} == {221952}
    assert [each.benchmark for each in run.results] == [
        f"google_benchmark.{name}"
        for name in ("BM_sum/64", "BM_sum/4096", "BM_threads/64/real_time/threads:2", "BM_counted", "BM_fails")
    ]


def test_times_of_google_benchmark_become_nanoseconds():
    run = recorded("google-benchmark", "whole.json")
    micro = samples(case(run, "google_benchmark.BM_threads/64/real_time/threads:2"))
    assert micro["real_time"] == pytest.approx((78.89281143641438, 85.90923871281814, 90.30983991063503))
    milli = samples(case(run, "google_benchmark.BM_counted"))
    assert milli["real_time"] == pytest.approx((4.403712301698912, 4.545218503113337, 3.885489440794378))


def test_errors_and_skips_of_google_benchmark_are_no_times_of_0():
    run = recorded("google-benchmark", "whole.json")
    assert case(run, "google_benchmark.BM_fails").outcome == Failed(violations=("the answer was wrong",))
    newer = recorded("google-benchmark", "python.json")
    assert newer.version == "1.9.5"
    assert case(newer, "google_benchmark.fails").outcome == Failed(violations=("no answer",))

    def skipped(document):
        entry = document["benchmarks"][1]
        del entry["error_occurred"], entry["error_message"]
        entry |= {"skipped": True, "skip_message": "needs more memory"}

    run = changed("google-benchmark", "python.json", skipped)
    assert case(run, "google_benchmark.fails").outcome == Unsupported(reason="needs more memory")


def test_a_user_counter_stays_text_and_a_debug_library_is_marked():
    run = recorded("google-benchmark", "whole.json")
    assert case(run, "google_benchmark.BM_counted").evidence == {"counter things": "42"}
    assert "user counters have neither unit nor direction; they are kept as text" in run.notes
    assert "the benchmark library was built for debugging: its own cost is in the times" in run.notes


def test_aggregates_without_their_repetitions_are_statistics():
    run = recorded("google-benchmark", "aggregates.json")
    found = case(run, "google_benchmark.BM_counted")
    assert found.evidence == {"n": "3"}
    figures = samples(found)
    assert set(figures) == {
        f"{time}.published_{word}" for time in ("real_time", "cpu_time") for word in ("mean", "median", "stddev", "cv")
    }
    assert figures["real_time.published_mean"] == (pytest.approx(4.107746281753402),)
    assert figures["real_time.published_cv"] == (0.10143665307663073,)
    assert units(found)["real_time.published_cv"] == ("ratio", "lower")


def test_repetitions_of_unlike_iterations_are_invalid():
    run = changed("google-benchmark", "whole.json", lambda document: document["benchmarks"][0].update(iterations=5))
    assert isinstance(case(run, "google_benchmark.BM_sum/64").outcome, Invalid)


# ---- Criterion ----


def test_a_sample_of_criterion_is_a_time_by_its_iterations():
    path = DATA / "criterion/sum/100/new/sample.json"
    (run,) = read_as("criterion", path.read_bytes(), str(path))
    (found,) = run.results
    (figure,) = found.outcome.measurements
    assert (found.benchmark, figure.metric, figure.unit) == ("criterion.sum/100", "criterion.sum/100.time", "ns")
    assert figure.samples[:2] == (866510.0 / 41464, 4057793.0 / 82928)
    assert len(figure.samples) == 10
    document = json.loads(path.read_bytes())
    assert figure.samples == tuple(
        time / count for time, count in zip(document["times"], document["iters"], strict=True)
    )
    assert figure.iterations == min(document["iters"])
    assert found.evidence["sampling_mode"] == "Linear"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("target/criterion/sum/100/new/sample.json", "sum/100"),
        ("sum/100/new/sample.json", "sum/100"),
        ("/a/b/target/criterion/flat one/new/sample.json", "flat one"),
        ("criterion/group/function/value/base/sample.json", "function/value"),
        ("sample.json", "sample"),
        ("../new/sample.json", "sample"),
    ],
)
def test_criterion_is_named_by_its_folders(path, name):
    content = (DATA / "criterion/sum/100/new/sample.json").read_bytes()
    assert read_as("criterion", content, path)[0].results[0].benchmark == f"criterion.{name}"


def test_messages_of_cargo_criterion_name_their_benchmarks():
    run = recorded("criterion", "messages.json")
    assert [each.benchmark for each in run.results] == ["criterion.sum/100", "criterion.flat one"]
    (alone,) = read_as(
        "criterion", (DATA / "criterion/flat one/new/sample.json").read_bytes(), "criterion/flat one/new/sample.json"
    )
    assert samples(run.results[1]) == samples(alone.results[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"times": [1.0]}, "found 10 and 1"),
        ({"iters": [0.0] * 10}, "Expected `float` >= 1.0"),
        ({"iters": [1.5] * 10}, "whole iterations"),
        ({"iters": [], "times": []}, "found 0 and 0"),
    ],
)
def test_iterations_of_criterion_that_do_not_fit_are_refused(change, problem):
    with pytest.raises(Unreadable, match=re.escape(problem)):
        changed("criterion", "sum/100/new/sample.json", lambda document: document.update(change))


# ---- fio ----


def test_a_job_of_fio_is_one_invocation_and_its_rates_are_totals():
    run = recorded("fio", "mix.json")
    assert (run.version, run.created_at) == ("3.33", "2026-11-21T06:12:18Z")
    found = case(run, "fio.job", job="mix")
    assert found.parameters == {
        "job": "mix",
        "ioengine": "psync",
        "size": "1m",
        "bs": "4k",
        "rw": "randrw",
        "rwmixread": "70",
    }
    figures = samples(found)
    assert figures["read.throughput"] == (83740444.0,)
    assert figures["read.rate"] == (20444.444444,)
    assert figures["write.throughput"] == (32768000.0,)
    assert figures["read.clat.published_mean"] == (43651.255435,)
    assert figures["read.clat.published_p50"] == (39680.0,)
    assert not any(metric.startswith("trim") for metric in figures)
    assert units(found)["read.throughput"] == ("bytes/s", "higher")
    assert found.evidence["read_n"] == "184"


def test_percentiles_of_fio_that_its_operations_do_not_support_are_left_out():
    """184 reads support p99 and no p99.9; 72 writes support p95 and no p99."""
    figures = samples(case(recorded("fio", "mix.json"), "fio.job", job="mix"))
    assert figures["read.clat.published_p99"] == (115200.0,)
    assert "read.clat.published_p99.5" not in figures
    assert figures["write.clat.published_p95"] == (11712.0,)
    assert "write.clat.published_p99" not in figures


@pytest.mark.parametrize(("name", "error"), [("failed.json", 2), ("continued.json", 1)])
def test_a_job_of_fio_with_an_error_has_no_figures(name, error):
    (found,) = recorded("fio", name).results
    assert found.outcome == Failed(violations=(f"fio ended the job with error {error}",))


def test_operations_of_fio_that_failed_fail_the_job():
    def change(document):
        document["jobs"][0] |= {"total_err": 3, "first_error": 5}

    run = changed("fio", "plus.json", change)
    assert run.results[0].outcome == Failed(violations=("3 operations failed, the first with error 5",))


def test_jobs_of_one_name_and_buckets_are_no_samples_of_one_another():
    run = recorded("fio", "numjobs.json")
    assert [each.parameters.get("occurrence") for each in run.results] == [None, 2]
    plus = samples(recorded("fio", "plus.json").results[0])
    assert all(len(each) == 1 for each in plus.values())


def test_a_runtime_in_whole_milliseconds_is_marked_and_one_of_0_gives_no_rate():
    run = recorded("fio", "mix.json")
    assert any("job 'mix', read: 9 ms in all" in note for note in run.notes)

    def no_time(document):
        document["jobs"][0]["read"] |= {"runtime": 0, "bw_bytes": 0, "iops": 0.0}

    figures = samples(changed("fio", "plus.json", no_time).results[0])
    assert "read.throughput" not in figures
    assert figures["read.clat.published_min"] == (674.0,)


def test_a_second_document_of_fio_is_refused():
    content = (DATA / "fio/plus.json").read_text()
    with pytest.raises(Unreadable, match=r"^f: line \d+: a second document"):
        written("fio", content + content)


# ---- iperf3 ----


def test_intervals_of_iperf3_are_samples_and_totals_one_sample():
    run = recorded("iperf3", "intervals.json")
    assert (run.version, run.created_at) == ("3.12", "2026-11-21T06:14:21Z")
    assert run.facts == {"host": {"kernel": "Linux 6.1.0 #1 SMP PREEMPT_DYNAMIC @0 x86_64"}}
    (found,) = run.results
    assert found.parameters == {"protocol": "TCP", "num_streams": 1, "blksize": 131072, "duration": 1}
    figures = samples(found)
    assert figures["sent.throughput"] == (19104462481.66307 / 8,)
    assert figures["received.throughput"] == (19050091436.867924 / 8,)
    assert figures["interval_throughput"] == (
        12427345717.214577 / 8,
        14414079971.914572 / 8,
        25597409626.32627 / 8,
        24032786068.798008 / 8,
    )
    assert figures["sent.retransmits"] == (6,)
    assert figures["round_trip.published_mean"] == (105000.0,)


def test_omitted_intervals_of_iperf3_are_warmups():
    (found,) = recorded("iperf3", "reverse_omit.json").results
    (figure,) = [each for each in found.outcome.measurements if each.metric.endswith("interval_throughput")]
    assert figure.warmups == (19227545575.427982 / 8,)
    assert figure.samples == (16812314353.165287 / 8, 21201620518.247017 / 8)


def test_intervals_of_iperf3_that_are_not_as_long_as_the_transfer_are_left_out():
    run = recorded("iperf3", "tcp.json")
    assert "interval_throughput" not in samples(run.results[0])
    assert any("the intervals are 2.5 s long, the transfer 2 s" in note for note in run.notes)


def test_loss_and_jitter_are_those_of_the_receiver():
    (found,) = recorded("iperf3", "udp.json").results
    assert found.parameters["target_bitrate"] == 100_000_000
    figures = samples(found)
    assert figures["received.jitter"] == (pytest.approx(11744.891189832823),)
    assert figures["received.loss"] == (0.0,)
    assert not {"sent.jitter", "sent.loss"} & set(figures)
    assert units(found)["received.loss"] == ("ratio", "lower")


def test_both_directions_of_iperf3_are_read_though_it_writes_keys_twice():
    (found,) = recorded("iperf3", "bidirectional.json").results
    assert found.parameters["bidir"] == 1
    figures = samples(found)
    assert figures["sent.throughput"] == (18566160096.549477 / 8,)
    assert figures["reverse_sent.throughput"] == (11669378917.697971 / 8,)
    assert figures["reverse_sent.retransmits"] == (2,)
    assert "round_trip.published_mean" not in figures


def test_an_error_of_iperf3_is_a_failure_whatever_was_counted_before():
    (found,) = recorded("iperf3", "refused.json").results
    assert found.outcome == Failed(violations=("unable to connect to server: Connection refused",))
    run = changed("iperf3", "intervals.json", lambda document: document.update(error="the server has terminated"))
    assert run.results[0].outcome == Failed(violations=("the server has terminated",))
    run = changed("iperf3", "intervals.json", lambda document: document.update(end={}))
    assert isinstance(run.results[0].outcome, Invalid)


# ---- wrk ----


def test_wrk_has_one_rate_and_published_latencies():
    (found,) = recorded("wrk", "whole.txt").results
    assert found.parameters == {
        "duration": "2s",
        "url": "http://127.0.0.1:5280/",
        "threads": 2,
        "connections": 4,
    }
    assert samples(found) == {
        "rate": (91.84,),
        "throughput": (189.83 * 1024,),
        "latency.published_mean": (43_040_000.0,),
        "latency.published_stddev": (6_010_000.0,),
        "latency.published_max": (44_690_000.0,),
        "latency.published_p50": (43_980_000.0,),
        "latency.published_p75": (44_030_000.0,),
        "latency.published_p90": (44_100_000.0,),
        "latency.published_p99": (44_690_000.0,),
    }
    assert found.evidence == {"requests": "184", "duration_s": "2"}


@pytest.mark.parametrize(
    ("name", "violations"),
    [
        ("not_found.txt", ("46 of 46 answers were neither 2xx nor 3xx",)),
        ("dropped.txt", ("socket errors: read 1344", "no request was answered")),
        ("timeouts.txt", ("no request was answered",)),
        ("refused.txt", ("unable to connect to 127.0.0.1:5281 Connection refused",)),
    ],
)
def test_answers_that_are_errors_are_no_rate(name, violations):
    (found,) = recorded("wrk", name).results
    assert found.outcome == Failed(violations=violations)


@pytest.mark.parametrize(("text", "ns"), [("812.50us", 812_500), ("1.20s", 1.2e9), ("2.50m", 150e9), ("1.00h", 3600e9)])
def test_times_of_wrk_are_read_in_each_of_its_units(text, ns):
    content = (DATA / "wrk/whole.txt").read_text().replace("43.04ms", text)
    assert samples(written("wrk", content).results[0])["latency.published_mean"] == (ns,)


@pytest.mark.parametrize(("text", "factor"), [("1.50MB", MIB), ("1.50GB", 2**30), ("1.50B", 1)])
def test_sizes_of_wrk_are_powers_of_1024(text, factor):
    content = (DATA / "wrk/whole.txt").read_text().replace("189.83KB", text)
    assert samples(written("wrk", content).results[0])["throughput"] == (1.5 * factor,)


# ---- sysbench ----


def test_sysbench_has_totals_and_published_latencies():
    run = recorded("sysbench", "cpu.txt")
    (found,) = run.results
    assert (run.version, found.parameters) == ("1.0.20", {"threads": 2, "prime numbers limit": "10000"})
    assert samples(found) == {
        "rate": (857.41,),
        "latency.published_min": (970_000.0,),
        "latency.published_mean": (2_320_000.0,),
        "latency.published_max": (13_410_000.0,),
        "latency.published_p95": (5_470_000.0,),
    }
    assert found.outcome.measurements[0].iterations == 861


def test_latencies_of_sysbench_that_are_too_short_to_print_are_left_out():
    (found,) = recorded("sysbench", "memory.txt").results
    assert samples(found) == {
        "rate": (4862364.11,),
        "throughput": (4979058278.4,),  # 4748.40 MiB/s
        "latency.published_max": (90_000.0,),
    }
    assert found.parameters == {
        "threads": 1,
        "block size": "1KiB",
        "total size": "200MiB",
        "operation": "write",
        "scope": "global",
    }


def test_files_of_sysbench_have_rates_of_each_kind():
    (found,) = recorded("sysbench", "fileio.txt").results
    figures = samples(found)
    assert (figures["read.rate"], figures["write.rate"], figures["sync.rate"]) == (
        (64899.28,),
        (43265.52,),
        (2164.07,),
    )
    assert figures["read.throughput"] == (1063308492.8,)  # 1014.05 MiB/s
    assert "Doing random r/w test" in found.parameters["files"]


def test_intervals_of_sysbench_are_samples_and_a_histogram_is_not():
    (found,) = recorded("sysbench", "intervals.txt").results
    figures = samples(found)
    assert figures["interval_rate"] == (609.56, 664.7)
    assert figures["rate"] == (637.81,)
    assert figures["latency.published_p99"] == (5_880_000.0,)


def test_a_percentile_of_sysbench_that_its_events_do_not_support_is_left_out():
    (found,) = recorded("sysbench", "mutex.txt").results
    assert "latency.published_p95" not in samples(found)
    assert samples(found)["rate"] == (1 / 0.5370,)


def test_what_sysbench_ignored_is_said():
    run = recorded("sysbench", "oltp.txt")
    (found,) = run.results
    assert found.benchmark == "sysbench.sql"
    figures = samples(found)
    assert (figures["transactions.rate"], figures["queries.rate"]) == ((6.71,), (159.13,))
    assert figures["interval_rate"] == (3.99, 6.01)
    assert found.evidence["ignored errors"] == "3"
    assert "ignored errors: 3; sysbench counts only what worked" in run.notes


@pytest.mark.parametrize(
    ("name", "problem"),
    [("not_prepared.txt", "Cannot open file 'test_file.0' errno = 2"), ("no_database.txt", "Connection to database")],
)
def test_fatal_words_of_sysbench_are_a_failure(name, problem):
    (found,) = recorded("sysbench", name).results
    assert isinstance(found.outcome, Failed)
    assert found.outcome.violations[0].startswith(problem)


# ---- perf stat ----


@pytest.mark.parametrize(("name", "clock_ns", "faults"), [("whole.json", 1857782, 143), ("whole.csv", 1870000, 141)])
def test_each_event_of_perf_is_a_count_and_a_missing_counter_is_unsupported(name, clock_ns, faults):
    run = recorded("perf-stat", name)
    assert samples(case(run, "perf_stat.task-clock")) == {"total": (clock_ns,)}
    assert samples(case(run, "perf_stat.page-faults")) == {"total": (faults,)}
    assert units(case(run, "perf_stat.task-clock")) == {"total": ("ns", "lower")}
    missing = [each.benchmark for each in run.results if isinstance(each.outcome, Unsupported)]
    assert missing == [f"perf_stat.{event}" for event in ("cycles", "instructions", "branches", "branch-misses")]


@pytest.mark.parametrize("name", ["repeated.json", "repeated.csv"])
def test_repetitions_of_perf_are_a_mean(name):
    run = recorded("perf-stat", name)
    assert list(samples(case(run, "perf_stat.page-faults"))) == ["published_mean"]
    assert any("-r" in note for note in run.notes)


def test_intervals_of_perf_are_added_up():
    run = recorded("perf-stat", "intervals.json")
    assert samples(case(run, "perf_stat.task-clock")) == {"total": (811681 + 45985,)}
    assert samples(case(run, "perf_stat.duration_time")) == {"total": (351586874,)}
    assert case(run, "perf_stat.task-clock").evidence == {"intervals": "4"}
    assert samples(case(recorded("perf-stat", "intervals.csv"), "perf_stat.page-faults:u")) == {"total": (71,)}


def test_an_event_that_was_not_counted_is_no_0():
    run = recorded("perf-stat", "not_counted.json")
    assert [each.outcome.reason for each in run.results] == ["not counted", "not supported"]


def test_an_event_that_shared_its_counter_is_an_estimate():
    run = recorded("perf-stat", "multiplexed.json")
    cycles = case(run, "perf_stat.cycles")
    assert samples(cycles) == {"published_estimate": (1811482,)}
    assert units(cycles) == {"published_estimate": ("cycles", "lower")}
    assert cycles.evidence == {"running_percent": "62.15"}
    assert samples(case(run, "perf_stat.instructions")) == {"total": (2204518,)}
    assert isinstance(case(run, "perf_stat.branch-misses").outcome, Unsupported)
    assert case(run, "perf_stat.power/energy-pkg/").outcome == Unsupported(
        reason="its unit Joules has no counterpart here"
    )


def test_an_event_of_perf_with_commas_in_its_name_is_one_event():
    run = recorded("perf-stat", "multiplexed.csv")
    assert samples(case(run, "perf_stat.cpu/event=0xc0,umask=0x00/u")) == {"total": (2204518,)}
    assert list(samples(case(run, "perf_stat.cycles"))) == ["published_estimate"]


def test_an_interval_in_which_another_event_had_the_counter_makes_the_sum_invalid():
    run = written(
        "perf-stat",
        "0.1,100,,cycles,5,100.00,,\n0.2,<not counted>,,cycles,0,0.00,,\n0.3,<not counted>,,cycles,0,0.00,,\n",
    )
    assert isinstance(run.results[0].outcome, Invalid)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a sum: 5\n", "f: line 1: expected value, unit and event, found 'a sum: 5'"),
        ("1,,cycles,5,100.00,,\n1,,cycles,5,100.00,,\n", "f: event 'cycles' is there 2 times, and not in intervals"),
        ("1,,cycles,5,100.0", "f: line 1: the file ends in the middle of a line"),
        ('{"counter-value" : "-1", "event" : "x"}\n', "f: line 1, $.counter-value: Expected `str` matching"),
    ],
)
def test_what_is_no_count_of_perf_is_refused(text, problem):
    with pytest.raises(Unreadable, match=f"^{re.escape(problem)}"):
        written("perf-stat", text)


def test_every_tool_is_in_the_table():
    assert set(TOOLS) <= set(FORMATS.names())
