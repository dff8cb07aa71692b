"""Target `kernel`: a real kernel in a real QEMU, with a fault planted at each place where one can be.

What is decided from a transcript is proved in test_transcripts.py; here, that what the machine did gets that far.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import speakers
from benchproof import envelope, plan, process, runner
from benchproof.errors import InvocationError, LabInvalid, NotSupported, StartFailed, TargetFailed, UsageError
from benchproof.guest import console
from benchproof.guest.console import Recording
from benchproof.guest.monitor import Monitor
from benchproof.model import Invalid, Passed, Reporting, Unsupported
from benchproof.protocol import transcript
from benchproof.protocol.grammar import KEVLAR, OWN
from benchproof.protocol.transcript import Ended, Heard
from benchproof.quantities import Duration
from benchproof.targets import kernel
from benchproof.targets.kernel import Kernel
from histories import asked

NAME = "syscall.getpid"
pytestmark = pytest.mark.skipif(
    "not __import__('shutil').which('qemu-system-x86_64')",
    reason="QEMU is not installed: apt-get install qemu-system-x86",
)


@pytest.fixture(scope="module")
def speaker(tmp_path_factory) -> Path:
    return speakers.build(tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def speaks(speaker, lab):
    """A target whose kernel does WHAT at PLACE (see speaker.c)."""

    def make(do: str = "", *, image: Path = speaker, **settings) -> Kernel:
        more = {"accel": "tcg", "timeout": Duration(20)} | settings
        return Kernel(Kernel.Settings(image=str(image), arguments=f"do={do}" if do else "", **more), lab)

    return make


def report(target: Kernel, name: str = NAME):
    with target.start() as instance:
        return instance.report(name, timeout_s=60)


# ---- what it says, and of what ----


def test_a_kernel_that_speaks_is_heard_and_says_what_it_is(speaks, speaker, lab):
    target = speaks()
    reported = report(target)
    assert (reported.iterations, reported.unit, reported.clock, reported.mechanism) == (1000, "ns", "target", "nothing")
    assert (
        reported.evidence.items()
        >= {
            "completed": "1000",
            "protocol.freshness": "token",
            "protocol.ended": "debug-exit",
        }.items()
    )
    ((name, said),) = lab.logs
    assert name == "console"
    assert b"@bp end" in said
    facts = target.facts()
    assert facts["machine"] == target.machine.facts(accel_reason='the plan says accel = "tcg"')
    assert (
        facts["system"].items()
        >= {
            "kind": "kernel",
            "image_sha256": hashlib.sha256(speaker.read_bytes()).hexdigest(),
            "stated_system": "speaker",
            "ends": "line",
        }.items()
    )
    assert facts["system"]["command"].endswith("-S -no-reboot -kernel IMAGE -append bp.token=TOKEN")
    assert envelope.labels(envelope.capture(facts, {})) == ("not shown: pace of its clock",)


def test_a_multiboot_image_and_another_emulator_are_as_good(speaks, tmp_path):
    image = speakers.build(tmp_path, "-DMULTIBOOT")
    target = speaks(image=image, emulator="qemu-system-i386", machine="q35")
    assert report(target).evidence["protocol.freshness"] == "token"
    assert target.machine.facts(accel_reason="")["architecture"] == "i386"


def test_instructions_are_counted_and_a_busy_host_changes_none(speaks):
    target = speaks(exact=True)
    reported = report(target)
    assert (reported.unit, reported.clock) == ("instructions", "instructions")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        assert report(target).samples == reported.samples
    finally:
        for each in busy:
            each.kill()
            each.wait()


def test_exact_runs_that_differ_are_invalid_and_the_line_is_shown(speaks):
    """The number of QEMU's own process is in the machine, so each of the pair finds another."""
    target = speaks(exact=True, options=("-fw_cfg", "name=opt/test,file=/proc/self/stat"))
    with pytest.raises(LabInvalid, match=rf"do not agree: @bp evidence {NAME} sum \d+ and @bp evidence {NAME} sum \d+"):
        report(target)


def test_only_lines_of_the_protocol_have_to_agree_but_of_a_dialect_all_do():
    def recordings(*texts):
        common = {"arrivals": (), "how": "trailer", "exit_status": None, "complaint": "", "at_ns": 0}
        return [Recording(text=text, **common) for text in texts]

    logs = recordings(b"pid 5\n@bp x\n", b"pid 6\n@bp x\n")
    assert kernel._difference(logs, OWN) == ""
    assert kernel._difference(logs, KEVLAR) == "pid 5 and pid 6"
    assert kernel._difference(recordings(b"@bp x\n", b"@bp x\n@bp y\n"), OWN) == "nothing and @bp y"


def test_what_qemu_warns_of_is_kept_with_the_invocation(speaks, lab):
    """TCG does not know all of what this processor has."""
    assert report(speaks(cpu="Icelake-Server")).samples
    (_, (name, said)) = lab.logs
    assert (name, b"warning: TCG doesn't support requested feature" in said) == ("qemu", True)


def test_nothing_else_can_be_done_with_it(speaks):
    with speaks().start() as instance:
        assert isinstance(instance, Reporting)
        for wish in (
            lambda: instance.run(["/init"], timeout_s=1),
            lambda: instance.put(Path("x"), "x"),
            lambda: instance.get("/x"),
        ):
            with pytest.raises(NotSupported, match="no program can be started in it: it speaks by its console alone"):
                wish()


# ---- what goes wrong ----

FAULTS = [
    ("start:panic", StartFailed, r"line 2, byte 14: 'Kernel panic - not syncing: planted'", {"timeout": 60}),
    ("first:off", StartFailed, r"the last of it: nothing; the machine was powered off", {}),
    ("start:reset", StartFailed, r"QEMU: the guest reset the machine \(a reboot, or a triple fault\)", {}),
    ("middle:exit", TargetFailed, r"exit status 15, expected 0; .*line 9", {}),
    ("middle:off", LabInvalid, r"the transcript ends before the line does", {}),
    ("late:reset", TargetFailed, r"the guest reset the machine", {}),
    ("end:reset", TargetFailed, r"the guest reset the machine .*, after its transcript was whole", {}),
    ("end:signal", TargetFailed, "the guest said that it panicked, after its", {"options": ("-device", "pvpanic")}),
    ("end:exit", TargetFailed, r"exit status 15, expected 0", {}),
    ("end:panic", TargetFailed, r"Kernel panic - not syncing: planted", {}),
    ("end:warn", TargetFailed, r"the system warns of itself: line 12", {}),
    ("", TargetFailed, r"exit status 33, expected 0", {"ends": "power-off"}),
    ("", TargetFailed, r"exit status 33, expected 35", {"ends": "debug-exit", "exit_status": 35}),
    ("end:off", TargetFailed, r"exit status 0, expected 33", {"ends": "debug-exit"}),
]
# as long as a busy host may need to get it that far
ENDLESS = [
    ("first:silent", StartFailed, r"never printed '@bp begin'; the last of it: nothing; it ran out of time", 1, {}),
    ("start:flood", StartFailed, r"it ran out of time, still printing", 4, {}),
    ("middle:silent", TargetFailed, r"did not end before its transcript was whole; .*silent for", 5, {}),
    ("middle:reset", TargetFailed, r"the system restarted: line", 5, {"reboot": True}),
    ("end:silent", TargetFailed, r"did not end although its transcript is whole", 5, {"ends": "debug-exit"}),
]


@pytest.mark.parametrize(("do", "error", "words", "settings"), FAULTS)
def test_what_the_machine_did_decides(speaks, do, error, words, settings):
    assert_fails(speaks(do, **settings | {"timeout": Duration(settings.get("timeout", 20))}), error, words)


def assert_fails(target: Kernel, error: type[Exception], words: str) -> None:
    with pytest.raises(InvocationError, match=words) as caught:
        report(target)
    assert type(caught.value) is error


def test_what_only_the_time_ends_says_what_it_did_until_then(speaks):
    """Those that never end wait for it side by side; one that may reset the machine, and does so for ever, is such."""
    with ThreadPoolExecutor(len(ENDLESS)) as pool:
        ended = [
            pool.submit(assert_fails, speaks(do, timeout=Duration(timeout_s), **settings), error, words)
            for do, error, words, timeout_s, settings in ENDLESS
        ]
    for each in ended:
        each.result()


def test_a_flood_ends_the_machine_and_costs_bounded_memory(host_probe):
    patience = console.Patience(timeout_s=60, linger_s=None, exit_status=33, is_over=bool)
    ours, theirs = socket.socketpair()
    with ours, theirs, process.Supervised(["yes"], supervisor=host_probe.path) as program:
        heard = console._Ear(program, Monitor(ours), patience).listen()
        assert program.wait(0) is not None
    assert heard.how == "flood"
    assert console.FLOOD_BYTES < len(heard.text) < 2 * console.FLOOD_BYTES
    with pytest.raises(StartFailed, match="it prints for ever"):
        transcript.read(
            Heard(heard.text[:100_000], heard.arrivals), NAME, ended=Ended(how=heard.how, at_ns=heard.at_ns)
        )


@pytest.mark.parametrize(
    ("do", "settings"),
    [
        ("end:silent", {}),
        ("end:off", {"ends": "power-off"}),
        ("", {"ends": "debug-exit"}),
        ("end:warn", {"tolerate": ("planted",)}),
    ],
)
def test_every_orderly_end_is_one(speaks, do, settings):
    assert report(speaks(do, **settings)).samples


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"options": ("-device", "nonsense")},
            "QEMU did not start: qemu-system-x86_64: -device nonsense: 'nonsense' is",
        ),
        ({"machine": "nonsense"}, "QEMU did not start: qemu-system-x86_64: unsupported machine type"),
        ({"image": Path("/bin/true")}, "QEMU did not start: .*without PVH ELF Note"),
    ],
)
def test_a_qemu_that_does_not_start_is_quoted(speaks, settings, words):
    with pytest.raises(StartFailed, match=words):
        report(speaks(**settings))


def test_what_is_no_kernel_is_unsupported_and_shown(speaks):
    with pytest.raises(NotSupported, match=r"neither ELF nor a bzImage.*begins with b'root:"):
        report(speaks(image=Path("/etc/passwd")))


def test_an_emulator_that_is_not_installed_is_named_with_what_brings_it(speaks):
    with pytest.raises(NotSupported) as caught:
        report(speaks(emulator="qemu-system-nothing"))
    assert (caught.value.reason, caught.value.missing) == (
        "qemu-system-nothing is not installed",
        "apt-get install qemu-system",
    )


@pytest.mark.parametrize("name", ["image", "initrd"])
@pytest.mark.parametrize(("what", "words"), [("", "a folder"), ("empty", "an empty file"), ("none", "no such file")])
def test_what_cannot_be_booted_is_refused_in_the_plan(name, what, words, speaker, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    settings = {"image": str(speaker), name: str(tmp_path / what)}
    with pytest.raises(UsageError, match=rf"{name}: expected a file that QEMU can boot, found {words}"):
        Kernel.Settings(**settings).refuse_missing()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("ends", '"crash"', "ends"),
        ("exit_status", "300", "exit_status: expected 0 to 255, found 300"),
        ("timeout", "0", "timeout: expected more than 0 s"),
        ("tolerate", '["("]', "tolerate: expected a regular expression"),
        ("grammar", '"kelvar"', "did you mean 'kevlar'"),
        ("names", '{ "syscall.getpid" = "two words" }', "names: 'syscall.getpid': expected a name"),
        ("forward", "[{ guest = 0 }]", "forward: expected a port from 1 to 65535, found 0"),
        ("forward", "[{ gest = 1 }]", "forward"),
        ("options", '["-m", "1"]', "options: '-m' is not to be given: it is stated by memory"),
        ("vcpus", "2\nexact = true", "exact: expected vcpus = 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(key, value, words, speaker):
    text = f'[targets.k]\nkind = "kernel"\nimage = "{speaker}"\n{key} = {value}\n'
    with pytest.raises(UsageError, match=r"plan: targets\.k: ") as caught:
        plan.parse(tomllib.loads(text), where="plan")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- labels, and one start for many questions ----


def test_a_debug_build_a_tolerated_complaint_and_a_stale_transcript_are_told_in_every_report(speaks):
    def labels(target: Kernel) -> set[str]:
        return set(envelope.labels(envelope.capture(target.facts(), {})))

    assert labels(speaks("x build=yes")) == {"debug build", "not shown: pace of its clock"}
    assert labels(speaks(build="measurement", tolerate=("planted",), select=False)) == {
        "measurement build",
        "tolerated: 'planted'",
        "not shown: freshness of its transcripts, pace of its clock",
    }


def test_one_start_answers_each_question_once(speaks, lab):
    target = speaks(shared=True)
    starts = []
    for name in (NAME, "memory.memcpy", NAME, "memory.memcpy"):
        lab.logs.clear()
        with contextlib.suppress(LabInvalid):  # it has one benchmark: the other is neither listed nor unsupported
            report(target, name)
        ((_, said),) = lab.logs
        starts.append(said)
    assert starts[0] == starts[1] != starts[2] == starts[3]


def test_the_noise_around_a_shared_start_is_that_of_each_answer(speaks):
    target = speaks(shared=True)
    found = report(target)
    target._spoken.answered.clear()  # as if another question had been asked first
    assert report(target).noise == found.noise
    assert found.noise is not None
    assert report(speaks()).noise is None  # a start of its own: what the runner sees around it


def test_an_image_that_is_built_anew_meanwhile_is_another_kernel(speaks, speaker, tmp_path):
    image, initrd = tmp_path / "kernel.elf", tmp_path / "initrd"
    image.write_bytes(speaker.read_bytes())
    initrd.write_bytes(b"one")
    target = speaks(image=image, initrd=str(initrd))
    assert report(target).samples
    for path in (initrd, image):
        before = path.read_bytes()
        path.write_bytes(before + b"\0")
        with pytest.raises(LabInvalid, match="image or initrd is not the one with which the run began"):
            report(target)
    image.unlink()
    with pytest.raises(LabInvalid, match="the image cannot be read any more: No such file"):
        target.report(NAME, timeout_s=60)


def test_a_run_keeps_the_console_of_each_invocation_and_goes_on_after_a_bad_one(speaker, tmp_path, host_probe):
    table = {"kind": "kernel", "image": str(speaker), "accel": "tcg", "timeout": "5 s"}
    document = {
        "targets": {"good": table, "cut": table | {"arguments": "do=middle:off"}},
        "suites": {"s": {"benchmarks": [NAME, "memory.memcpy", "lifecycle.exec_ready"]}},
    }
    wanted = plan.parse(document, where="test", quick=True, blocks=1, retries=0, limits={"steal": "any"})

    class Silent:
        def planned(self, invocations): ...
        def note(self, message): ...
        def done(self, block, target, benchmark, outcome): ...

    with runner.begin(wanted, tmp_path / "home", host_probe, Silent()) as session:
        results = [each for each in session.run() if each.block == 0]
    found = {(each.target, each.benchmark): each for each in results}
    assert isinstance(found["good", NAME].outcome, Passed)
    assert b"@bp end" in (session.out.path / found["good", NAME].logs[0]).read_bytes()
    assert isinstance(found["good", "memory.memcpy"].outcome, Invalid)
    assert isinstance(found["good", "lifecycle.exec_ready"].outcome, Unsupported)
    assert isinstance(found["cut", NAME].outcome, Invalid)


def test_two_machines_are_not_compared_and_each_fact_is_listed(speaker, tmp_path):
    common = f'kind = "kernel"\nimage = "{speaker}"\naccel = "tcg"\n'
    other = 'cpu = "Nehalem"\nmemory = "64 MiB"\nmachine = "q35"\ncpus = "0"\nnetwork = true\n'
    run = f'[suites.s]\nbenchmarks = ["{NAME}"]\n[run]\nblocks = 1\nlimits = {{ steal = "any" }}\n'
    (tmp_path / "plan.toml").write_text(
        f'[targets.a]\n{common}[targets.b]\n{common}arguments = "x"\n[targets.c]\n{common}{other}{run}'
    )
    home = ("--home", str(tmp_path / "home"))
    assert asked(tmp_path, "run", "--plan", "plan.toml", *home)[0] == 0
    same, apart = (
        asked(tmp_path, "compare", "last", "--vary", "system", "--targets", f"a,{each}", *home) for each in "bc"
    )
    assert "incomparable" not in same[1]
    assert apart[0] == 3
    assert "5 facts differ that were not declared to vary" in apart[1]
    assert set(re.findall(r"^  machine\.(\w+): ", apart[1], re.MULTILINE)) == {
        "cpu",
        "cpu_set",
        "devices",
        "machine",
        "memory_mib",
    }


def test_kvm_that_is_demanded_where_it_cannot_be_is_unsupported_with_the_way_out(speaks):
    with pytest.raises(NotSupported, match=r"KVM runs guests of the host's own architecture.*not i386") as caught:
        report(speaks(emulator="qemu-system-i386", accel="kvm"))
    assert 'accel = "tcg"' in caught.value.missing


LISTENS = """
import sys
from pathlib import Path
from benchproof import laboratory
from benchproof.quantities import Duration
from benchproof.targets.kernel import Kernel
image, folder, probe = sys.argv[1:]
room = laboratory.Room(scratch=Path(folder), probe=Path(probe))
settings = Kernel.Settings(image=image, arguments="do=start:silent", accel="tcg", timeout=Duration(600))
print("begun", flush=True)
with Kernel(settings, room).start() as instance:
    instance.report("syscall.getpid", timeout_s=600)
"""


def qemus_of(image: Path) -> list[str]:
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = line.read_bytes().split(b"\0")
            if b"-kernel" in words and str(image).encode() in words and words[0].endswith(b"x86_64"):
                found.append(line.parent.name)
    return found


def eventually(condition, timeout_s: float = 60) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_benchproof_that_is_killed_leaves_no_qemu(speaker, tmp_path, host_probe):
    command = [sys.executable, "-c", LISTENS, str(speaker), str(tmp_path), str(host_probe.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as ours:
        assert eventually(lambda: qemus_of(speaker))
        ours.send_signal(signal.SIGKILL)
    assert eventually(lambda: not qemus_of(speaker))
