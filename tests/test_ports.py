"""Ports of this host that lead to a guest: free ones, or the very one and its holder; only a QEMU of ours is ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import speakers
from benchproof import process
from benchproof.errors import LabInvalid
from benchproof.footprint import descendants
from benchproof.guest import ports
from benchproof.guest.ports import Forward, Process, Record
from benchproof.quantities import Duration
from benchproof.targets.kernel import Kernel

pytestmark = pytest.mark.skipif(
    "not __import__('shutil').which('qemu-system-x86_64')",
    reason="QEMU is not installed: apt-get install qemu-system-x86",
)
NAME = "syscall.getpid"
LISTENER = """
import socket, sys, time
held = socket.socket()
held.bind(("127.0.0.1", int(sys.argv[1])))
held.listen()
print("listens", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def speaker(tmp_path_factory) -> Path:
    return speakers.build(tmp_path_factory.mktemp("kernel"))


@pytest.fixture
def speaks(speaker, lab, tmp_path):
    lab.cache = tmp_path / "cache"

    def make(*forward: Forward) -> Kernel:
        settings = Kernel.Settings(image=str(speaker), accel="tcg", timeout=Duration(20), forward=forward)
        return Kernel(settings, lab)

    return make


@pytest.fixture
def port() -> int:
    with socket.socket() as trial:
        trial.bind((ports.ADDRESS, 0))
        return int(trial.getsockname()[1])


def report(target: Kernel):
    with target.start() as instance:
        return instance.report(NAME, timeout_s=60)


@contextlib.contextmanager
def ended_at_last(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def a_listener(port: int) -> Iterator[subprocess.Popen[bytes]]:
    with ended_at_last([sys.executable, "-c", LISTENER, str(port)]) as process:
        assert process.stdout.readline() == b"listens\n"
        yield process


@contextlib.contextmanager
def a_qemu(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """One that leads the port to a guest, and that nobody supervises."""
    network = f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"
    words = ["-nodefaults", "-display", "none", "-S", "-m", "1", "-netdev", network, "-device", "e1000,netdev=net"]
    with ended_at_last(["qemu-system-x86_64", *words]) as process:
        deadline_s = time.monotonic() + 60
        while not ports.holders(port) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        yield process


def dead() -> Process:
    """A process that was, with the time at which it began."""
    with ended_at_last([sys.executable, "-c", "input()"]) as process:
        found = ports._identity(process.pid)
    assert found is not None
    return found


def remember(folder: Path, pid: int, record: Record) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_bytes(msgspec.json.encode(record))
    return path


# ---- ports that are free ----


def test_free_ports_are_found_and_told_and_nothing_is_left(speaks, lab):
    target = speaks(Forward(22), Forward(80))
    told = report(target).evidence["protocol.ports"]
    one, other = (int(each.split(" ")[0].rpartition(":")[2]) for each in told.split(", "))
    assert told == f"127.0.0.1:{one} to 22, 127.0.0.1:{other} to 80"
    assert one != other
    assert ports.holders(one) == []
    assert list((lab.cache / "ports").iterdir()) == []
    assert "virtio-net-pci" in target.machine.facts(accel_reason="")["devices"]


def test_a_port_that_somebody_takes_in_between_is_tried_again():
    class Monitor:
        """Refuses as many times as it is told to."""

        def __init__(self, refusals: int) -> None:
            self.refusals = refusals

        def execute(self, command, **_):
            self.refusals -= 1
            return "could not set up host forwarding rule\r\n" if self.refusals >= 0 else ""

    assert ports.open_all(Monitor(4), [Forward(22)], records=Path("/nowhere")).keys() == {22}
    with pytest.raises(LabInvalid, match=r"no port of this host could be led to port 22.*could not set up"):
        ports.open_all(Monitor(5), [Forward(22)], records=Path("/nowhere"))


# ---- a port on which the plan insists ----


def test_the_port_of_the_plan_is_the_one_that_is_used(speaks, port):
    assert report(speaks(Forward(22, port))).evidence["protocol.ports"] == f"127.0.0.1:{port} to 22"


def test_a_port_that_another_program_holds_is_told_with_that_program_which_lives_on(speaks, port):
    with a_listener(port) as listener:
        with pytest.raises(LabInvalid) as caught:
            report(speaks(Forward(22, port)))
        name = Path(f"/proc/{listener.pid}/comm").read_text().strip()
        assert (
            f"port {port} of 127.0.0.1, on which the plan insists, is taken by '{name}' (pid {listener.pid});"
            in str(caught.value)
        )
        assert listener.poll() is None


def test_a_qemu_that_is_not_ours_is_told_and_lives_on(speaks, port):
    with a_qemu(port) as qemu:
        with pytest.raises(LabInvalid, match=rf"is taken by 'qemu-system-x86' \(pid {qemu.pid}\)"):
            report(speaks(Forward(22, port)))
        assert qemu.poll() is None


def test_a_qemu_of_ours_whose_benchproof_is_gone_is_ended_and_no_other_is(speaks, port, lab):
    with a_qemu(port) as qemu:
        here, records = ports._identity(qemu.pid), lab.cache / "ports"
        assert here is not None
        own = ports._identity(qemu.pid)
        whole = Record(ports._boot_id(), here, dead())
        for wrong in (
            msgspec.structs.replace(whole, boot_id="another"),
            msgspec.structs.replace(whole, qemu=Process(qemu.pid, "1")),  # another process that had this pid before
            msgspec.structs.replace(whole, owner=own),  # its benchproof is there
        ):
            remember(records, qemu.pid, wrong)
            with pytest.raises(LabInvalid, match="is taken by"):
                report(speaks(Forward(22, port)))
            assert qemu.poll() is None
        path = remember(records, qemu.pid, whole)
        assert report(speaks(Forward(22, port))).evidence["protocol.ports"] == f"127.0.0.1:{port} to 22"
        assert qemu.wait(60) == -9
        assert not path.exists()


def test_what_runs_is_on_record_by_its_pid_and_start_and_so_are_we(host_probe, tmp_path):
    with process.Supervised(["sleep", "600"], supervisor=host_probe.path) as program:
        while not descendants(program.pid):
            time.sleep(0.01)
        (pid,) = descendants(program.pid)
        with ports.recorded(program.pid, tmp_path / "ports"):
            record = msgspec.json.decode((tmp_path / "ports" / f"{pid}.json").read_bytes(), type=Record)
            assert record == Record(ports._boot_id(), ports._identity(pid), ports._identity(os.getpid()))
            assert record.qemu.lives()
    assert not record.qemu.lives()
    assert list((tmp_path / "ports").iterdir()) == []


def test_a_damaged_record_ends_nothing(port, tmp_path):
    with a_listener(port) as listener:
        (tmp_path / f"{listener.pid}.json").write_bytes(b"{")
        assert not ports._end_stale(listener.pid, tmp_path)
        assert listener.poll() is None
