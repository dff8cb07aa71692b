"""A run on disk: what was recorded comes back, whatever is damaged is noticed, whatever is hostile is only reported."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchproof import plan, report
from benchproof.cli import find_run
from benchproof.errors import Interrupted, StoreError, UsageError
from benchproof.model import (
    WARMUP_BLOCK,
    Envelope,
    Failed,
    Invalid,
    Measurement,
    Noise,
    Passed,
    Result,
    Unsupported,
    Unverified,
)
from benchproof.store import bundle
from benchproof.store.bundle import MANIFEST, RESULTS, WARMUPS, Bundle
from benchproof.verify import verify
from conftest import completed, transcript

PLAN = {
    "targets": {"host": {}},
    "suites": {"s": {"benchmarks": ["syscall.getpid"]}},
    "run": {"blocks": 3, "seed": 1},
}
ENVELOPES = {"host": Envelope(sections={"machine": {"execution": "native"}, "system": {"kind": "host"}})}
CASE = plan.parse(PLAN, where="test").cases[0]
SEEN = CASE.benchmark.observe(completed(transcript()))
patient = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # the machine may be busy


def create(folder, objects=MappingProxyType({"probe": bytes(range(256))})):
    wanted = plan.parse(PLAN, where="test")
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=folder.name,
        benchproof="0",
        created_at="2026-11-20T00:00:00+00:00",
        state="running",
        plan=wanted.document,
        seed=wanted.seed,
        definitions=[],
        files={},
    )
    Bundle.create(folder, manifest, ENVELOPES, objects).close()
    (folder / bundle.SMOKES).unlink()  # as of an earlier version: nobody asked a target for its smokes
    return folder


@contextlib.contextmanager
def resumed(path):
    with contextlib.closing(Bundle.resume(bundle.load(path))) as out:
        yield out


def record(path, *results):
    with resumed(path) as out:
        for each in results:
            out.append(each)


def result(path, block=0, **changes):
    known = Result(
        run_id=path.name,
        target="host",
        benchmark="syscall.getpid",
        parameters=CASE.parameters,
        tier=1,
        block=block,
        started_at="2026-11-20T00:00:00Z",
        duration_ns=2_000_000,
        envelope=bundle.load(path).target_envelopes["host"],
        attempt=1,
        outcome=Passed(measurements=SEEN.measurements),
        evidence=SEEN.evidence,
    )
    return msgspec.structs.replace(known, **changes)


def killed(folder):
    """A run that was ended before it was complete: a warm-up and three results, each with a log."""
    with resumed(create(folder)) as out:
        for block in (WARMUP_BLOCK, 0, 1, 2):
            path, digest = out.write_log("stderr", f"block {block}".encode())
            out.append(result(folder, block, logs=(path,), log_hashes=(digest,)))
    return folder


def complete(folder):
    killed(folder)
    run = bundle.load(folder)
    finished = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, state="complete"))
    with resumed(folder) as out:
        out.seal(report.encoded(report.build(finished)))
    return folder


@pytest.fixture
def killed_run(tmp_path):
    return killed(tmp_path / "run")


@pytest.fixture
def complete_run(tmp_path):
    return complete(tmp_path / "run")


@pytest.fixture(scope="session")
def _measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    (folder / "plan.toml").write_text("[targets.host]\n[run]\nlimits = {clock_step = 'any'}")  # noise is no matter here
    options = "run --plan plan.toml -b syscall.getpid --blocks 1 --quick --home ."
    command = [sys.executable, "-m", "benchproof", *options.split()]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return next((folder / "runs").iterdir())


@pytest.fixture
def measured_run(_measured, tmp_path):
    """A real run, complete, made by the command line; a copy for each test."""
    return Path(shutil.copytree(_measured, tmp_path / _measured.name))


@pytest.fixture(params=["killed_run", "complete_run", "measured_run"])
def any_run(request):
    return request.getfixturevalue(request.param)


def problems(path):
    return verify(path).problems


def lines(path, name=RESULTS):
    return (path / name).read_bytes().splitlines(keepends=True)


# ---- what is appended comes back ----

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MEASUREMENTS = st.lists(
    st.builds(
        Measurement,
        metric=TEXT,
        unit=st.sampled_from(["ns", "bytes/s", "count"]),
        better=st.sampled_from(["lower", "higher"]),
        clock=st.sampled_from(["host", "target", "instructions"]),
        iterations=st.integers(1, 2**40),
        warmups=st.lists(FLOATS, max_size=2).map(tuple),
        samples=st.lists(FLOATS, min_size=1, max_size=3).map(tuple),
    ),
    max_size=2,
).map(tuple)
OUTCOMES = st.one_of(
    st.builds(Passed, MEASUREMENTS),
    st.builds(Failed, st.lists(TEXT, max_size=3).map(tuple)),
    st.builds(Unsupported, TEXT, TEXT),
    st.builds(Invalid, TEXT),
    st.builds(Unverified, TEXT, MEASUREMENTS),
)
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), FLOATS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=4,
)
LOGS = st.lists(st.one_of(TEXT, st.sampled_from(["logs/a", "../a", "/etc/passwd", "\0", "x" * 300])), max_size=2)
RESULTS_OF_ANY_KIND = st.builds(
    Result,
    run_id=TEXT,
    target=st.one_of(TEXT, st.just("host")),
    benchmark=st.one_of(TEXT, st.just("syscall.getpid")),
    parameters=st.dictionaries(TEXT, PLAIN, max_size=2),
    tier=st.integers(0, 9),
    block=st.integers(-1, 9),
    started_at=TEXT,
    duration_ns=st.integers(0, 2**63 - 1),
    envelope=TEXT,
    attempt=st.integers(1, 9),
    outcome=OUTCOMES,
    evidence=st.dictionaries(st.one_of(TEXT, st.sampled_from(list(SEEN.evidence))), TEXT, max_size=3),
    noise=st.builds(Noise, steal=st.none() | FLOATS, clock_source=st.none() | TEXT, clock_step_ns=st.integers(0, 9)),
    logs=LOGS.map(tuple),
    log_hashes=LOGS.map(tuple),
)


@patient
@given(st.lists(RESULTS_OF_ANY_KIND, max_size=4))
def test_results_of_any_kind_come_back_as_they_were_and_in_order(tmp_path_factory, results):
    path = create(tmp_path_factory.mktemp("runs") / "run")
    manifest = (path / MANIFEST).read_bytes()
    record(path, *results)
    run = bundle.load(path)
    assert run.warmups == tuple(each for each in results if each.block == WARMUP_BLOCK)
    assert run.results == tuple(each for each in results if each.block != WARMUP_BLOCK)
    assert run.envelopes == {run.target_envelopes["host"]: ENVELOPES["host"]}
    assert bundle.encoded(run.manifest) == (path / MANIFEST).read_bytes() == manifest


@patient
@given(RESULTS_OF_ANY_KIND)
def test_absurd_results_with_right_hashes_are_problems_and_no_crash(tmp_path_factory, absurd):
    path = create(tmp_path_factory.mktemp("runs") / "run")
    record(path, absurd)
    assert problems(path)


def test_what_was_not_tampered_with_is_good(any_run):
    verdict = verify(any_run)
    assert verdict.problems == ()
    unasked = sum(isinstance(each.outcome, Unsupported) for each in bundle.load(any_run).smokes)
    assert verdict.checked["results"] - unasked == verdict.checked["oracles"] >= 2


# ---- the invocation that was in flight ----


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.99, 1.0])
def test_a_torn_last_line_is_dropped_and_the_run_goes_on_behind_it(killed_run, kept):
    whole = (killed_run / RESULTS).read_bytes()
    *before, last = lines(killed_run)
    torn = b"".join(before) + last[: round((len(last) - 1) * kept)]
    (killed_run / RESULTS).write_bytes(torn)
    run = bundle.load(killed_run)
    assert ([each.block for each in run.results], problems(killed_run)) == ([0, 1], ())
    with resumed(killed_run) as out:
        path, digest = out.write_log("stderr", b"block 2")
        out.append(result(killed_run, 2, logs=(path,), log_hashes=(digest,)))
    assert (killed_run / RESULTS).read_bytes() == whole
    assert problems(killed_run) == ()


def test_logs_of_the_invocation_that_was_in_flight_are_dropped_and_no_log_is_overwritten(killed_run):
    kept = {path: path.read_bytes() for path in (killed_run / "logs").iterdir()}
    (killed_run / "logs" / "0004-console.txt").write_bytes(b"orphan")
    (killed_run / "logs" / ".0005-console.txt.new").write_bytes(b"draft")
    with resumed(killed_run) as out:
        out.write_log("console", b"new")
    assert {path.read_bytes() for path in (killed_run / "logs").iterdir()} == {*kept.values(), b"new"}
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_run_whose_empty_folders_were_lost_in_transport_can_be_resumed(tmp_path):
    path = create(tmp_path / "run")
    (path / "logs").rmdir()
    with resumed(path) as out:
        out.write_log("console", b"new")
        out.append(result(path))
    assert len(bundle.load(path).results) == 1


# ---- damage ----


@pytest.mark.parametrize("name", [RESULTS, WARMUPS])
@pytest.mark.parametrize("run", ["killed_run", "complete_run"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda whole: [whole[0].replace(b'"host"', b'"hozt"', 1), *whole[1:]], id="changed"),
        pytest.param(lambda whole: whole[1:], id="removed"),
        pytest.param(lambda whole: [whole[1], whole[0], *whole[2:]], id="reordered"),
        pytest.param(lambda whole: [whole[0], *whole], id="repeated"),
        pytest.param(lambda whole: [whole[0][:-1] + b" \n", *whole[1:]], id="padded"),
        pytest.param(lambda whole: [b"\n", *whole], id="empty"),
    ],
)
def test_a_line_that_was_changed_removed_moved_or_repeated_is_noticed(request, run, name, change):
    path = request.getfixturevalue(run)
    if name == WARMUPS:  # give it as many lines as the other
        shutil.copyfile(path / RESULTS, path / WARMUPS)
    (path / name).write_bytes(b"".join(change(lines(path, name))))
    assert problems(path)


def flipped(path, positions):
    """Flip the lowest bit of each byte in turn and yield its position; afterwards the file is as it was."""
    content = path.read_bytes()
    for position in positions:
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        yield position
    path.write_bytes(content)


def sample(path, size):
    """First and last byte of a file, and a few hundred of the others, the same in each run of the tests."""
    count = path.stat().st_size
    return sorted({0, count - 1, *random.Random(path.name).sample(range(count), min(count, size))})


@pytest.mark.parametrize("name", [MANIFEST, "envelope.json", "report.json", RESULTS, WARMUPS, "objects"])
def test_one_flipped_bit_in_any_file_of_a_complete_run_is_noticed(measured_run, name):
    file = next((measured_run / "objects").iterdir()) if name == "objects" else measured_run / name
    size = file.stat().st_size
    chosen = {*sample(file, 80), *(range(size - 120, size) if name == MANIFEST else ())}
    assert [position for position in flipped(file, sorted(chosen)) if not problems(measured_run)] == []
    assert problems(measured_run) == ()


@pytest.mark.parametrize("name", [MANIFEST, "envelope.json", WARMUPS, RESULTS, "objects/probe", "logs/0001-stderr.txt"])
def test_one_flipped_bit_in_any_file_of_a_killed_run_is_noticed(killed_run, name):
    """But for the last line break: without it the last line is torn, and is dropped as that."""
    file = killed_run / name
    torn = {file.stat().st_size - 1} if name in {RESULTS, WARMUPS} else set()
    positions = [position for position in sample(file, 80) if position not in torn]
    assert [position for position in flipped(file, positions) if not problems(killed_run)] == []
    for _ in flipped(file, torn):
        assert verify(killed_run).checked["results"] == 3
    assert problems(killed_run) == ()


def test_every_removed_file_of_a_complete_run_is_noticed(measured_run):
    for file in [*bundle.members(measured_run), measured_run / MANIFEST]:
        content = file.read_bytes()
        file.unlink()
        assert any(file.name in problem for problem in problems(measured_run)), file
        file.write_bytes(content)
    assert problems(measured_run) == ()


@pytest.mark.parametrize("name", ["more.txt", ".hidden", "logs/9999-console.txt", "objects/x", "new/x"])
def test_an_added_file_of_a_complete_run_is_noticed(measured_run, name):
    (measured_run / name).parent.mkdir(exist_ok=True)
    (measured_run / name).write_bytes(b"")
    assert f"{name}: not in the manifest" in problems(measured_run)


@pytest.mark.parametrize("run", ["killed_run", "complete_run"])
def test_swapped_and_removed_logs_are_noticed(request, run):
    path = request.getfixturevalue(run)
    first, second, *_ = sorted((path / "logs").iterdir())
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert {problem.partition(":")[0] for problem in problems(path)} == {f"logs/{first.name}", f"logs/{second.name}"}
    first.unlink()
    assert f"logs/{first.name}: missing" in problems(path)


def test_a_run_under_another_name_is_noticed(any_run):
    assert problems(any_run.rename(any_run.with_name("other")))


def reseal(path, **changes):
    """Change the manifest and make all its hashes right again: what only a forger does."""
    manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=bundle.Manifest)
    files = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in manifest.files}
    forged = msgspec.structs.replace(manifest, **{"files": files} | changes)
    forged = msgspec.structs.replace(forged, seal=bundle.seal_of(forged))
    (path / MANIFEST).write_bytes(bundle.encoded(forged))


def test_a_forged_figure_with_right_hashes_is_noticed(measured_run):
    published = msgspec.json.decode((measured_run / "report.json").read_bytes(), type=report.Report)
    published.rows[0].cells["host"] = msgspec.structs.replace(published.rows[0].cells["host"], median=1.0)
    (measured_run / "report.json").write_bytes(report.encoded(published))
    reseal(measured_run)
    found = problems(measured_run)
    assert found[0] == "report.json: syscall.getpid.latency of 'host' does not follow from the results"


def test_a_wrong_answer_recorded_as_passed_with_right_hashes_is_noticed(tmp_path):
    path = create(tmp_path / "run")
    record(path, result(path, evidence=SEEN.evidence | {"pid_sum": "701"}))
    assert any("pid_sum: expected 700, found 701" in problem for problem in problems(path))


@pytest.mark.parametrize(
    "envelope",
    [
        {"envelopes": {}, "targets": {"host": "sha256:gone"}},
        {"envelopes": {"sha256:bare": {"sections": {}}}, "targets": {"host": "sha256:bare"}},
        {"envelopes": {}, "targets": {}},
    ],
    ids=["of no known hash", "without sections", "of no target"],
)
def test_an_envelope_that_does_not_fit_the_results_is_a_problem_and_no_crash(measured_run, envelope):
    (measured_run / "envelope.json").write_bytes(msgspec.json.encode(envelope))
    assert problems(measured_run)
    reseal(measured_run)
    assert problems(measured_run)


@pytest.mark.parametrize("wrong", [{}, {"targets": 5}, {"targets": {"host": {"reference": []}}}, {"more": 1}])
def test_a_manifest_whose_plan_makes_no_sense_is_a_problem_and_no_crash(measured_run, wrong):
    reseal(measured_run, plan=wrong)
    assert problems(measured_run)


# ---- hostile runs ----


def chained(*bodies):
    """Lines as `append` writes them, of any bytes: what a forger can make who knows the format."""
    chain, found = "", b""
    for body in bodies:
        chain = hashlib.sha256(chain.encode() + body).hexdigest()
        found += body[:-1] + b',"chain":"' + chain.encode() + b'"}\n'
    return found


TRICKS = ["parent", "absolute", "link", "link of a folder", "all is a link", "nul", "long", "folder", "fifo"]


@pytest.mark.parametrize("trick", TRICKS)
def test_a_log_outside_of_the_run_is_not_read_but_reported(tmp_path, trick):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = create(tmp_path / "run")
    logs = path / "logs"
    name = {
        "parent": "logs/../../secret",
        "absolute": str(secret),
        "link": "logs/link",
        "link of a folder": "logs/out/secret",
        "all is a link": "logs/secret",
        "nul": "logs/\0",
        "long": "logs/" + "x" * 5000,
        "folder": "logs/folder",
        "fifo": "logs/fifo",
    }[trick]
    digest = hashlib.sha256(b"secret").hexdigest()  # if it were read, its hash would be right
    record(path, result(path, logs=(name,), log_hashes=(digest,)))
    (logs / "link").symlink_to(secret)
    (logs / "out").symlink_to(tmp_path)
    (logs / "folder").mkdir()
    os.mkfifo(logs / "fifo")
    if trick == "all is a link":
        shutil.rmtree(logs)
        logs.symlink_to(tmp_path)
    assert any("missing" in problem or "not a folder" in problem for problem in problems(path))


def test_resuming_a_run_whose_logs_are_elsewhere_deletes_nothing_there(killed_run, tmp_path):
    shutil.rmtree(killed_run / "logs")
    (tmp_path / "precious").write_bytes(b"")
    (killed_run / "logs").symlink_to(tmp_path)
    with pytest.raises(StoreError), resumed(killed_run):
        pass
    assert (tmp_path / "precious").exists()


def test_resuming_a_run_with_a_folder_among_its_logs_is_a_store_error(killed_run):
    (killed_run / "logs" / "folder").mkdir()
    with pytest.raises(StoreError):
        Bundle.resume(bundle.load(killed_run))


def test_a_run_that_is_being_written_is_neither_resumed_nor_tidied_by_another(killed_run):
    run = bundle.load(killed_run)
    with resumed(killed_run):
        (killed_run / "logs" / "0004-console.txt").write_bytes(b"of the invocation in flight")
        with (killed_run / RESULTS).open("ab") as file:
            file.write(b'{"half a line')
        before = {path: path.read_bytes() for path in bundle.members(killed_run)}
        with pytest.raises(UsageError, match="still being written"):
            Bundle.resume(run)
        assert {path: path.read_bytes() for path in bundle.members(killed_run)} == before
    with resumed(killed_run):
        assert bundle.members(killed_run) != list(before)


@pytest.mark.parametrize(("logs", "hashes"), [(("logs/a",), ()), ((), ("0",))])
def test_logs_without_hashes_and_hashes_without_logs_are_problems(tmp_path, logs, hashes):
    path = create(tmp_path / "run")
    record(path, result(path, logs=logs, log_hashes=hashes))
    (path / "logs" / "a").write_bytes(b"")
    assert problems(path)


def test_evidence_too_long_to_be_a_number_is_a_problem(tmp_path):
    path = create(tmp_path / "run")
    record(path, result(path, evidence=SEEN.evidence | {"operations": "9" * 5000}))
    assert problems(path)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2)),
    max_leaves=4,
)


def only_store_errors(path):
    with contextlib.suppress(StoreError):
        bundle.load(path)
    verify(path)


@patient
@given(st.lists(st.one_of(st.binary(), st.just(b"\n"), st.binary(min_size=1).map(chained)), max_size=4).map(b"".join))
def test_whatever_results_hold_loading_raises_only_store_errors(tmp_path_factory, content):
    path = create(tmp_path_factory.mktemp("runs") / "run")
    (path / RESULTS).write_bytes(content)
    only_store_errors(path)


@patient
@given(field=st.sampled_from(Result.__struct_fields__), wrong=JSON)
def test_a_field_of_any_type_in_a_well_chained_result_raises_only_store_errors(tmp_path_factory, field, wrong):
    path = create(tmp_path_factory.mktemp("runs") / "run")
    body = msgspec.to_builtins(result(path)) | {field: wrong}
    (path / RESULTS).write_bytes(chained(msgspec.json.encode(body, enc_hook=str)))
    only_store_errors(path)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_result_nested_without_end_raises_only_a_store_error(tmp_path, opening):
    path = create(tmp_path / "run")
    body = msgspec.json.encode(result(path)).replace(b'"parameters":{', b'"parameters":{"x":' + opening * 100_000, 1)
    (path / RESULTS).write_bytes(chained(body))
    only_store_errors(path)


@patient
@given(
    name=st.sampled_from([MANIFEST, "envelope.json"]), content=st.one_of(st.binary(), JSON.map(repr).map(str.encode))
)
def test_whatever_the_other_files_hold_loading_raises_only_store_errors(tmp_path_factory, name, content):
    path = create(tmp_path_factory.mktemp("runs") / "run")
    (path / name).write_bytes(content)
    with pytest.raises(StoreError):
        bundle.load(path)
    assert problems(path)


@pytest.mark.parametrize("name", [MANIFEST, "envelope.json", RESULTS, WARMUPS])
def test_a_folder_instead_of_a_file_is_a_store_error(killed_run, name):
    (killed_run / name).unlink()
    (killed_run / name).mkdir()
    with pytest.raises(StoreError):
        bundle.load(killed_run)


def ends(path):
    """`benchproof verify` in a process that can be given up: reading such a file may never end."""
    command = [sys.executable, "-m", "benchproof", "verify", path]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("name", [MANIFEST, "envelope.json", RESULTS, "report.json"])
def test_a_pipe_instead_of_a_file_is_a_problem_and_not_waited_for(complete_run, name):
    (complete_run / name).unlink()
    os.mkfifo(complete_run / name)
    done = ends(complete_run)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("name", [MANIFEST, "envelope.json", RESULTS, WARMUPS, "report.json", "objects/probe"])
def test_a_link_to_a_file_outside_is_no_part_of_a_run_even_if_its_content_fits(complete_run, name):
    outside = (complete_run / name).rename(complete_run.parent / "outside")
    (complete_run / name).symlink_to(outside)
    assert problems(complete_run)


@pytest.mark.parametrize("kind", ["pipe", "link to nothing", "link to a folder"])
def test_an_added_thing_that_is_no_file_is_noticed(complete_run, kind):
    if kind == "pipe":
        os.mkfifo(complete_run / "new")
    else:
        (complete_run / "new").symlink_to("/nowhere" if kind == "link to nothing" else "/etc")
    assert any(problem.startswith("new: ") for problem in problems(complete_run))


# ---- a disk that is full ----


@contextlib.contextmanager
def full_disk(size_bytes):
    """No file grows beyond this: writing takes a part, then fails, as on a full disk (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 100, 700])
def test_a_full_disk_is_one_line_and_everything_recorded_before_is_whole(killed_run, room):
    before = (killed_run / RESULTS).read_bytes()
    another = result(killed_run, 3)
    with resumed(killed_run) as out:
        with full_disk(len(before) + room), pytest.raises(StoreError) as caught:
            out.append(another)
        assert str(caught.value).isprintable()
        assert "File too large" in str(caught.value)
        assert "--resume" in str(caught.value)
        assert (killed_run / RESULTS).read_bytes() == before
        assert problems(killed_run) == ()
        out.append(another)  # there is room again
    assert (bundle.load(killed_run).results[-1], problems(killed_run)) == (another, ())


def test_a_full_disk_while_a_log_is_kept_leaves_no_part_of_it(killed_run):
    before = bundle.members(killed_run)
    with resumed(killed_run) as out, full_disk(1000), pytest.raises(StoreError):
        out.write_log("console", bytes(2000))
    assert bundle.members(killed_run) == before


def test_a_full_disk_while_the_run_is_sealed_leaves_a_run_that_can_be_sealed_later(killed_run):
    with resumed(killed_run) as out, full_disk(100), pytest.raises(StoreError):
        out.seal(bytes(2000))
    assert problems(killed_run) == ()
    assert bundle.load(killed_run).manifest.state == "running"


def test_a_run_for_which_there_is_no_room_at_all_leaves_nothing_that_looks_like_a_run(tmp_path):
    with full_disk(100), pytest.raises(StoreError):
        create(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [Interrupted(signal.SIGINT), KeyboardInterrupt()], ids=repr)
def test_a_run_that_is_stopped_while_it_begins_leaves_nothing_that_looks_like_a_run(tmp_path, end):
    class Objects(dict[str, bytes]):
        def items(self):
            raise end

    with pytest.raises(type(end)):
        create(tmp_path / "runs" / "run", Objects())
    assert list((tmp_path / "runs").iterdir()) == []


KILLED = """
import os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
import test_bundle
class Objects(dict):
    def items(self):
        os.kill(os.getpid(), signal.SIGKILL)
test_bundle.create(pathlib.Path("home", "runs", "20260101"), Objects())
"""


def test_a_run_that_is_killed_while_it_begins_is_no_run(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, Path(__file__).parent], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(UsageError, match="no run is called 'last'"):
        find_run(tmp_path / "home", "last")


FULL_DISK = (
    "import resource, benchproof.cli; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, -1)); benchproof.cli.main()"
)


@pytest.mark.parametrize("room", [0, 10_000])
def test_a_full_disk_under_a_whole_run_is_an_exit_status_and_one_clear_line(host_probe, tmp_path, room):
    command = [sys.executable, "-B", "-c", FULL_DISK.format(room=room)]
    options = "run --targets host -b syscall.getpid --blocks 1 --quick --home home"
    done = subprocess.run([*command, *options.split()], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("benchproof: ")
    assert not list(tmp_path.glob("home/runs/*"))


def test_a_cell_names_the_lines_of_results_jsonl_that_its_values_are_from(tmp_path):
    path = create(tmp_path / "run")
    retried = result(path, 1, outcome=Invalid(reason="noisy"))
    record(path, result(path, 2), retried, result(path, 1, attempt=2), result(path, 0))
    (row,) = report.build(bundle.load(path)).rows
    cell = row.cells["host"]
    assert (cell.blocks, cell.lines) == ((0, 1, 2), (4, 3, 1))  # by block; the invalid try is behind no value
    recorded = (path / RESULTS).read_text().splitlines()
    assert [msgspec.json.decode(recorded[line - 1])["block"] for line in cell.lines] == [0, 1, 2]
    assert report.build(bundle.load(path), upto=1).rows[0].cells["host"].lines == (4,)


def test_a_cell_without_a_figure_names_the_lines_that_say_why(tmp_path):
    path = create(tmp_path / "run")
    record(path, result(path, 0, outcome=Unsupported(reason="no")), result(path, 1, outcome=Unsupported(reason="no")))
    cell = report.build(bundle.load(path)).rows[0].cells["host"]
    assert (cell.status, cell.blocks, cell.lines) == ("unsupported", (), (1, 2))


def test_a_report_of_a_version_that_named_no_lines_still_follows_from_its_results(tmp_path):
    path = killed(tmp_path / "run")
    run = bundle.load(path)
    finished = msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, state="complete"))
    whole = report.encoded(report.build(finished))
    old = msgspec.json.decode(whole)
    for cell in old["rows"][0]["cells"].values():
        del cell["lines"], cell["blocks"]
    with resumed(path) as out:
        out.seal(msgspec.json.encode(old))
    assert verify(path).problems == ()
