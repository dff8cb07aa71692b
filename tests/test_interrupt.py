"""Whatever stops a run, nothing of it goes on running, what was recorded is whole, and the run can be finished.

The command line runs as a user starts it, with a temporary folder of its own, so that everything that it started can
be told from the rest of the machine by that folder's name.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchproof import laboratory, report
from benchproof.benchmarks import SUITES
from benchproof.cli import benchproof
from benchproof.model import WARMUP_BLOCK, Invalid
from benchproof.plan import case_key
from benchproof.process import Supervised
from benchproof.store import bundle
from benchproof.verify import verify

DEADLINE_S = 60  # for what always comes, on a machine that is busy
GONE_WITHIN_S = 2
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


def until(condition, timeout_s=DEADLINE_S):
    """Wait for it; returns its last value."""
    end_s = time.monotonic() + timeout_s
    while not (found := condition()) and time.monotonic() < end_s:
        time.sleep(0.01)
    return found


def here(*arguments):
    """A command that starts nothing, in this process."""
    return CliRunner().invoke(benchproof, [*map(str, arguments)], standalone_mode=False)


class Scene:
    """A place in which the command line is run, and what can be seen of it from outside."""

    def __init__(self, folder):
        self.folder = folder
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        self.program = None

    def command(self, *arguments):
        cache = str(laboratory.cache_folder().parent)  # the user's own: neither probe nor kernel is made again
        return {
            "args": [sys.executable, "-m", "benchproof", *arguments, "--home", self.folder / "home"],
            "env": os.environ | {"TMPDIR": str(self.tmp), "XDG_CACHE_HOME": cache},
            "cwd": self.folder,
        }

    def start(self, *arguments):
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as talk:
            self.program = subprocess.Popen(**self.command(*arguments), stdout=out, stderr=talk)

    def call(self, *arguments):
        return subprocess.run(**self.command(*arguments), capture_output=True, text=True, check=False, timeout=300)

    @property
    def talk(self):
        return (self.folder / "stderr").read_text()

    @property
    def run(self):
        """The folder of the run, once there is one."""
        return next((self.folder / "home").glob("runs/[0-9]*/manifest.json"), Path("none/none")).parent

    def recorded(self, *names):
        """Whole lines so far, of results and warm-ups or of other files."""
        files = (self.run / name for name in names or (bundle.RESULTS, bundle.WARMUPS))
        return sum(file.read_bytes().count(b"\n") for file in files if file.exists())

    def scratch(self):
        return [path.name for path in self.tmp.iterdir()]

    def processes(self):
        """Command lines of all that name the temporary folder: as argument, variable, mount or place where they are."""
        marker, found = os.fsencode(self.tmp), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                said = [(process / name).read_bytes() for name in ("cmdline", "environ", "mountinfo")]
                if any(marker in text for text in (*said, os.fsencode((process / "cwd").readlink()))):
                    found.append(said[0])
            except OSError:  # it ended meanwhile
                continue
        return found

    def stop(self, number):
        assert self.program.poll() is None, self.talk
        self.program.send_signal(number)
        status = self.program.wait(DEADLINE_S)
        assert status == STATUS[number], self.talk
        until(lambda: not self.processes(), GONE_WITHIN_S)
        assert self.processes() == []
        assert str(self.tmp) not in Path("/proc/self/mountinfo").read_text()
        assert "Traceback" not in self.talk

    def check(self):
        """What was recorded is good."""
        verified = here("verify", self.run)
        assert verified.return_value == 0, verified.output

    def resume(self):
        """Finish the run; nothing that was recorded is lost or done again."""
        before = {name: (self.run / name).read_bytes() for name in (bundle.RESULTS, bundle.WARMUPS)}
        done = self.call("run", "--resume", self.run)
        assert done.returncode == 0, done.stderr
        for name, content in before.items():
            whole = content[: content.rfind(b"\n") + 1]
            assert (self.run / name).read_bytes().startswith(whole)
        run = bundle.load(self.run)
        assert run.manifest.state == "complete"
        assert each_case_has_one_answer_in_each_block(run)
        assert verify(self.run).problems == ()
        assert (self.processes(), self.scratch()) == ([], [])
        again = here("run", "--resume", self.run)
        assert again.exception.exit_status == 2
        assert "is complete; there is nothing to resume" in str(again.exception)


def each_case_has_one_answer_in_each_block(run):
    """One final result; tries before it were invalid, and are numbered from 1."""
    plan = report.plan_of(run)
    due = Counter((block, case.key) for block in range(WARMUP_BLOCK, plan.run.blocks) for case in plan.cases)
    tries, final = Counter(), Counter()
    for each in (*run.warmups, *run.results):
        key = (each.block, case_key(each.target, each.benchmark, each.parameters))
        tries[key] += 1
        assert each.attempt == tries[key]
        final[key] += not isinstance(each.outcome, Invalid) or each.attempt > plan.run.retries
    return final == due


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    if scene.program and scene.program.poll() is None:
        scene.program.kill()
        scene.program.wait()


QUICK = ("run", "--plan", "plan.toml", "-b", "primitive", "--quick")
FEW = (  # of each way to work: alone, with a child, with a thread, against a partner, asleep, in its memory
    "syscall.getpid",
    "process.fork_exec",
    "process.thread_create",
    "ipc.pipe_pingpong",
    "timer.wake",
    "memory.mmap_fault",
)


def planned(names):
    short = [f"{{name = '{name}', samples = 3, warmups = 1, sample_time = '1 ms'}}" for name in names]
    return f"""
[targets.host]
[targets.bwrap]
[suites.s]
benchmarks = [{", ".join(short)}]
[run]
blocks = 1
limits = {{clock_step = "any"}}  # these tests are not about figures
"""


PLAN = planned(SUITES["primitive"])


@pytest.mark.parametrize(
    "moment", ["few", pytest.param("quick", marks=pytest.mark.soak), pytest.param("short", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_stopped_run_leaves_no_process_verifies_and_can_be_finished(scene, number, moment):
    """The same questions in fewer samples are as many moments to stop at, in less time; few of them in still less."""
    chance = random.Random(f"{number}/{moment}")
    (scene.folder / "plan.toml").write_text(planned(FEW) if moment == "few" else PLAN)
    scene.start(*(QUICK if moment == "quick" else QUICK[:3]), "--blocks", "2" if moment == "few" else "1")
    wanted = chance.randrange(1, 20 if moment == "few" else 50)  # of 36, or of 64
    until(lambda: scene.recorded() >= wanted or scene.program.poll() is not None)
    time.sleep(chance.uniform(0, 0.05))  # into the middle of an invocation
    recorded = scene.recorded()
    scene.stop(number)
    assert scene.recorded() >= recorded
    if number == signal.SIGKILL:
        assert scene.scratch() != []  # the next run sweeps it
    else:
        assert scene.scratch() == []
        assert f"go on with: benchproof run --resume {scene.run}" in scene.talk
        assert scene.talk.splitlines()[-1] == f"benchproof: interrupted by signal {number:d}"
    scene.check()
    scene.resume()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_before_its_first_invocation_leaves_nothing(scene, number):
    wrapper = ["sh", "-c", "setsid sleep 1000 & wait", "{argv}"]  # what it starts goes to a session of its own
    (scene.folder / "plan.toml").write_text(f"[targets.slow]\nkind = 'command'\ncommand = {wrapper}")
    scene.start("run", "--plan", "plan.toml")
    assert until(lambda: b"sleep\x001000\0" in scene.processes()), scene.talk
    scene.stop(number)
    assert (scene.scratch(), list(scene.folder.glob("home/runs/*"))) == ([], [])


def test_signals_that_come_all_at_once_stop_a_run_as_one_does(scene):
    (scene.folder / "plan.toml").write_text(PLAN)
    scene.start(*QUICK)
    until(lambda: scene.recorded() >= 3)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        scene.program.send_signal(number)
    assert scene.program.wait(DEADLINE_S) in {130, 143}
    assert scene.scratch() == []
    assert "Traceback" not in scene.talk
    assert "ignored" not in scene.talk
    scene.check()


def test_a_scratch_folder_of_a_run_that_is_alive_is_not_swept(scene):
    ours = scene.tmp / f"benchproof-scratch-{os.getpid()}-x"
    gone = scene.tmp / f"benchproof-scratch-{2**22 + 1}-x"  # beyond all numbers of processes
    for folder in (ours, gone):
        (folder / "instance").mkdir(parents=True)
    (scene.folder / "plan.toml").write_text(PLAN)
    done = scene.call(
        "run", "--plan", "plan.toml", "--targets", "host", "-b", "syscall.getpid", "--quick", "--blocks", "1"
    )
    assert done.returncode == 0, done.stderr
    assert scene.scratch() == [ours.name]


def test_a_program_that_an_interrupted_wait_has_reaped_already_can_still_be_left(host_probe):
    with Supervised(["true"], supervisor=host_probe.path) as program:
        os.waitpid(program._process.pid, 0)  # as far as a wait gets when a signal comes right behind it


# ---- systems that are more than a process ----


@pytest.mark.skipif(not shutil.which("runsc"), reason="runsc is not installed")
def test_an_interrupted_gvisor_sandbox_leaves_no_process_no_mount_and_no_control_group(scene):
    (scene.folder / "plan.toml").write_text("[targets.gvisor]\n[run]\nlimits = {clock_step = 'any'}\n")
    scene.start("run", "--plan", "plan.toml", "-b", "syscall.getpid", "--quick", "--blocks", "3")
    until(lambda: scene.recorded() >= 2 or scene.program.poll() is not None)
    containers = set()

    def sandboxed():
        running = b" ".join(scene.processes())
        containers.update(re.findall(rb"benchproof-[0-9a-f]{32}", running))
        return b"runsc-sandbox" in running

    assert until(sandboxed), scene.talk
    scene.stop(signal.SIGINT)
    assert scene.scratch() == []
    left = [path for name in containers for path in Path("/sys/fs/cgroup").rglob(name.decode())]
    assert left == []
    scene.check()
    scene.resume()


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="qemu-system-x86_64 is not installed")
@pytest.mark.parametrize("start", ["cold", "snapshot"])
def test_an_interrupted_guest_leaves_no_process(scene, start):
    (scene.folder / "plan.toml").write_text(f"[targets.guest]\nkind = 'qemu'\naccel = 'tcg'\nstart = '{start}'\n")
    scene.start("run", "--plan", "plan.toml", "-b", "syscall.getpid", "--quick", "--blocks", "50")

    def booting():
        return any(b"qemu-system" in line for line in scene.processes())

    until(lambda: booting() or scene.program.poll() is not None or scene.recorded(bundle.SMOKES))
    if "target 'guest': " in scene.talk:
        pytest.skip(f"no guest can be started here: {scene.talk}")
    until(lambda: scene.recorded(bundle.SMOKES) or scene.program.poll() is not None)
    assert until(booting), scene.talk
    scene.stop(signal.SIGINT)
    assert scene.scratch() == []
    scene.check()
