"""Tier 0 on every target, and every smoke shown to fail on the fault that it is there for."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib

import pytest

from benchproof import runner
from benchproof.benchmarks import BENCHMARKS, SUITES
from benchproof.benchmarks.smoke.smoked import Smoked, together
from benchproof.errors import InvocationError, LabInvalid, NotSupported, StartFailed, TargetFailed
from benchproof.model import Failed, Invalid, Observation, Outcome, Passed, Unsupported
from benchproof.probe import smokes
from benchproof.targets import KINDS
from conftest import completed, lab_in, planted_probe, why_unusable

WANTED = tuple(BENCHMARKS.load(name)() for name in SUITES["smoke"])
PROBED = tuple(each for each in WANTED if isinstance(each, Smoked))
NAMES = tuple(each.definition.name for each in PROBED)


def outcomes(target, wanted=WANTED) -> dict[str, Outcome]:
    found = together(target, wanted)
    return {
        smoke.definition.name: (
            runner.outcome_of(each) if isinstance(each, InvocationError) else runner.judge(smoke, each)
        )
        for smoke, each in zip(wanted, found, strict=True)
    }


def target(kind, folder, built, **settings):
    loaded = KINDS.load(kind)
    return loaded(loaded.Settings(**settings), lab_in(folder, built.path))


@pytest.mark.parametrize("kind", ["host", "bwrap", "gvisor", "qemu"])
def test_a_good_target_passes_every_smoke_in_one_start(kind, host_probe, tmp_path):
    if reason := why_unusable(kind):
        pytest.skip(reason)
    several = {"vcpus": 2} if kind == "qemu" else {}
    found = outcomes(target(kind, tmp_path, host_probe, **several))
    assert {name for name, each in found.items() if isinstance(each, Passed)} == set(NAMES)
    assert isinstance(found["smoke.protocol"], Unsupported)


@pytest.mark.parametrize("fault", ["SKIP_WORK", "WRONG_ANSWER"])
def test_every_smoke_notices_skipped_work_and_wrong_answers(fault, tmp_path):
    built = planted_probe(fault)
    found = outcomes(target("host", tmp_path, built), PROBED)
    assert {name for name, each in found.items() if isinstance(each, Failed)} == set(NAMES)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has authority to be too wide")
def test_a_probe_that_keeps_its_rights_fails_the_smoke_of_authority_alone(tmp_path):
    built = planted_probe("WIDE_AUTHORITY")
    found = outcomes(target("host", tmp_path, built), PROBED)
    bad = {name: each for name, each in found.items() if not isinstance(each, Passed)}
    assert set(bad) == {"smoke.authority"}
    assert isinstance(bad["smoke.authority"], Invalid)
    assert "wider than declared" in bad["smoke.authority"].reason


@pytest.mark.parametrize("name", SUITES["smoke"])
def test_the_definition_says_what_a_reader_must_know(name):
    definition = BENCHMARKS.load(name).definition
    assert (definition.name, definition.tier) == (name, 0)
    assert definition.question.endswith("?")
    assert all((definition.mechanism, definition.without_posix, definition.oracle))


GOOD = {
    "smoke.boot": {"word": "w", "crc32": zlib.crc32(b"w")},
    "smoke.authority": dict.fromkeys(
        ("mount", "raw_socket", "packet_socket", "foreign_file", "foreign_process"), "EPERM"
    ),
    "smoke.process": {
        "echoed": "w",
        "echo_status": 0,
        "exit_status": 37,
        "missing_program": "ENOENT",
        "damaged_program": "ENOEXEC",
        "killed_by": 9,
    },
    "smoke.ipc": {
        "word_crc32": zlib.crc32(b"w"),
        "partner_status": 37,
        "eventfd": "read",
        "eventfd_sum": 21,
        "stale_handle": "EBADF",
        "pipe_without_reader": "EPIPE",
    },
}


def verdict(name, **changes):
    evidence = {key: str(value) for key, value in (GOOD[name] | {"asked": "w"} | changes).items()}
    return list(BENCHMARKS.load(name)().verify(Observation(measurements=(), evidence=evidence)))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("smoke.boot", {"word": "of yesterday"}, "word: expected w"),
        ("smoke.boot", {"asked": ""}, "no word was asked for"),
        ("smoke.process", {"missing_program": "none"}, "missing_program: expected ENOENT"),
        ("smoke.process", {"exit_status": 0}, "exit_status: expected 37"),
        ("smoke.process", {"killed_by": 0}, "killed_by: expected 9"),
        ("smoke.ipc", {"stale_handle": "none"}, "stale_handle: expected EBADF"),
        ("smoke.ipc", {"eventfd_sum": 14}, "eventfd_sum: expected 21"),
        ("smoke.ipc", {"eventfd": "unreadable", "eventfd_sum": 0}, "eventfd: expected read or absent"),
        ("smoke.authority", {"mount": "none"}, "mount: expected to be refused (EACCES or EPERM), it was allowed"),
        ("smoke.authority", {"raw_socket": "EINVAL"}, "raw_socket: expected to be refused (EACCES or EPERM), found EI"),
        ("smoke.authority", {"foreign_file": "none"}, "foreign_file"),
        ("smoke.authority", {"foreign_process": "ESRCH"}, "foreign_process"),
        ("smoke.authority", {"packet_socket": ""}, "packet_socket"),
    ],
)
def test_each_refusal_and_each_answer_is_looked_at(name, changes, words):
    assert verdict(name) == []
    violation, *_ = verdict(name, **changes)
    assert violation.startswith(words)


def told(*lines, count=1, **end):
    body = b"".join(
        json.dumps(line, separators=(",", ":")).encode() + b"\n"
        for line in ({"line": "smokes", "probe": 1, "count": count}, *lines)
    )
    last = {"line": "end", "smokes": count, "crc32": zlib.crc32(body)} | end
    return completed(body + json.dumps(last, separators=(",", ":")).encode() + b"\n")


BEGIN, WORD = {"line": "smoke", "name": "smoke.boot"}, {"line": "evidence", "name": "word", "value": "w"}
OVER = {"line": "over", "name": "smoke.boot", "status": 0}


def test_what_was_told_is_read():
    assert smokes.read(told(BEGIN, WORD, OVER), ["smoke.boot"])["smoke.boot"].evidence == {"word": "w"}


@pytest.mark.parametrize(
    "answer",
    [
        told(BEGIN, WORD, OVER, crc32=7),
        told(BEGIN, WORD, OVER, smokes=2),
        told(BEGIN, WORD),
        told(BEGIN, WORD, WORD, OVER),
        told(WORD, OVER),
        told(BEGIN, WORD, OVER, BEGIN, WORD, OVER, count=2),
        told(BEGIN, BEGIN, OVER),
        told(BEGIN, WORD, OVER | {"name": "smoke.ipc"}),
        told(BEGIN, {"line": "sample", "elapsed_ns": 1}, OVER),
        completed(told(BEGIN, WORD, OVER).stdout[:-20]),
        completed(b""),
    ],
)
def test_an_output_that_is_damaged_or_out_of_order_is_invalid(answer):
    with pytest.raises(LabInvalid):
        smokes.read(answer, ["smoke.boot"])


@pytest.mark.parametrize(
    ("status", "lines", "kind", "words"),
    [
        (-11, (), TargetFailed, "was killed by signal 11"),
        (70, (), TargetFailed, "gave up with status 70"),
        (69, ({"line": "unsupported", "reason": "no pipes: ENOSYS"},), NotSupported, "no pipes"),
    ],
)
def test_a_smoke_that_crashes_fails_and_one_that_has_nothing_to_try_is_unsupported(status, lines, kind, words):
    done = told(BEGIN, *lines, OVER | {"status": status})
    boot = BENCHMARKS.load("smoke.boot")()
    with pytest.raises(kind, match=words):
        boot.observe(smokes.read(done, ["smoke.boot"])["smoke.boot"], "w", done)


@pytest.mark.skipif(os.geteuid() != 0, reason="mount.tmpfs needs CAP_SYS_ADMIN")
def test_a_mount_is_measured_with_exactly_its_capability(host_probe, tmp_path):
    benchmark = BENCHMARKS.load("mount.tmpfs")(samples=2, warmups=1)
    found = benchmark.run(target("host", tmp_path, host_probe))
    assert list(benchmark.verify(found)) == []
    assert found.evidence["authority.capabilities"] == f"{1 << 21:016x}"


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv takes the capability away")
@pytest.mark.skipif(os.geteuid() != 0, reason="mount.tmpfs needs CAP_SYS_ADMIN")
def test_a_mount_by_who_may_not_is_unsupported_with_the_way(host_probe, tmp_path):
    poorer = target("command", tmp_path, host_probe, command=("setpriv", "--bounding-set=-sys_admin", "{argv}"))
    with pytest.raises(NotSupported, match="the capabilities that it needs") as caught:
        BENCHMARKS.load("mount.tmpfs")(samples=2, warmups=1).run(poorer)
    assert "as root" in caught.value.missing


@pytest.mark.skipif(os.geteuid() != 0, reason="mount.tmpfs needs CAP_SYS_ADMIN")
@pytest.mark.parametrize("fault", ["SKIP_WORK", "WRONG_ANSWER", "WIDE_AUTHORITY"])
def test_a_mount_that_is_none_or_another_or_has_more_rights_is_noticed(fault, tmp_path):
    benchmark = BENCHMARKS.load("mount.tmpfs")(samples=2, warmups=1)
    built = planted_probe(fault)
    try:
        found = runner.judge(benchmark, benchmark.run(target("host", tmp_path, built)))
    except InvocationError as error:
        found = runner.outcome_of(error)
    assert isinstance(found, Invalid if fault == "WIDE_AUTHORITY" else Failed)


class Speaks:
    """A target that reports itself; what it says of itself is what a test wants."""

    def __init__(self, said):
        self.said = said

    def facts(self):
        if isinstance(self.said, Exception):
            raise self.said
        return {"machine": {}, "system": self.said}

    @contextlib.contextmanager
    def start(self):
        yield self

    def report(self, name, *, timeout_s):
        raise AssertionError(f"{name} is no benchmark, {timeout_s}")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ({"protocol": "benchproof 1", "freshness": "token"}, Passed, ""),
        ({"freshness": "token"}, Failed, "protocol: expected"),
        ({"protocol": "benchproof 1"}, Failed, "freshness: expected"),
        (StartFailed("it printed nothing"), Failed, "it printed nothing"),
        (LabInvalid("the transcript is cut"), Invalid, "is cut"),
    ],
)
def test_a_system_that_reports_itself_shows_a_whole_transcript_and_is_asked_for_no_program(said, kind, words):
    found = outcomes(Speaks(said))
    assert isinstance(found["smoke.protocol"], kind)
    assert words in runner.reason_of(found["smoke.protocol"])
    assert all(isinstance(found[name], Unsupported) for name in NAMES)
