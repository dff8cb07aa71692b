"""The tools themselves, where they are installed: today's output is read as the recorded one is.

No time is asserted, only that the reader knows every word of it: what is one invocation, what failed, what has figures.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchproof.importers import Imported, read_as
from benchproof.importing import recognised
from benchproof.model import Failed, Unsupported, Unverified

PACKAGES = {"perf": "linux-perf"}


def run(*words: str, cwd: Path | None = None) -> bytes:
    """What a tool prints, its complaints too. Skips where it is not installed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed: apt-get install {PACKAGES.get(words[0], words[0])}")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        words, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False
    ).stdout


def read(tool: str, content: bytes) -> Imported:
    assert recognised(content, "f") == tool
    (found,) = read_as(tool, content, "f")
    return found


def metrics(found: Imported) -> set[str]:
    outcomes = [each.outcome for each in found.results if isinstance(each.outcome, Unverified)]
    return {figure.metric for outcome in outcomes for figure in outcome.measurements}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_hyperfine_is_read_as_it_is_today(tmp_path):
    file = tmp_path / "f.json"
    run("hyperfine", "-N", "-i", "--runs", "3", "--export-json", str(file), "true", "false")
    found = read("hyperfine", file.read_bytes())
    assert [type(each.outcome) for each in found.results] == [Unverified] * 3 + [Failed] * 3


def test_fio_is_read_as_it_is_today(tmp_path):
    options = ["--ioengine=psync", "--size=256k", "--bs=4k", "--output-format=json+"]
    found = read("fio", run("fio", "--name=a", "--rw=write", *options, cwd=tmp_path))
    assert found.results[0].evidence["write_n"] == "64"
    assert {"fio.job.write.clat.published_mean", "fio.job.write.clat.published_p95"} <= metrics(found)
    failed = read("fio", run("fio", "--name=a", "--rw=read", "--filename=/proc/none", *options, cwd=tmp_path))
    assert isinstance(failed.results[0].outcome, Failed)


def test_iperf3_is_read_as_it_is_today():
    port = str(free_port())
    failed = read("iperf3", run("iperf3", "-c", "127.0.0.1", "-p", port, "-J"))
    assert isinstance(failed.results[0].outcome, Failed)
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", port], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        client = ["iperf3", "-c", "127.0.0.1", "-p", port, "-t", "1", "-i", "0.5", "-J", "--connect-timeout", "9000"]
        content = next(text for _ in range(200) if b'"error"' not in (text := after_a_moment(*client)))
    finally:
        server.kill()
        server.communicate()
    found = read("iperf3", content)
    assert "iperf3.transfer.received.throughput" in metrics(found)
    assert found.results[0].parameters["protocol"] == "TCP"


def after_a_moment(*words: str) -> bytes:
    time.sleep(0.1)  # the server may not listen yet
    return run(*words)


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", "4")
        self.end_headers()
        with contextlib.suppress(OSError):  # wrk does not wait for the last answer
            self.wfile.write(b"good")

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Nobody listens."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_wrk_is_read_as_it_is_today():
    with serving() as url:
        found = read("wrk", run("wrk", "-t1", "-c1", "-d1s", "--latency", f"{url}/"))
        assert "wrk.load.rate" in metrics(found)
        failed = read("wrk", run("wrk", "-t1", "-c1", "-d1s", f"{url}/none"))
    assert isinstance(failed.results[0].outcome, Failed)
    refused = read("wrk", run("wrk", "-t1", "-c1", "-d1s", f"http://127.0.0.1:{free_port()}/"))
    assert isinstance(refused.results[0].outcome, Failed)


def test_sysbench_is_read_as_it_is_today(tmp_path):
    found = read("sysbench", run("sysbench", "cpu", "--events=20", "run", cwd=tmp_path))
    assert {"sysbench.cpu.rate", "sysbench.cpu.latency.published_mean"} <= metrics(found)
    failed = read("sysbench", run("sysbench", "fileio", "--file-test-mode=rndrd", "run", cwd=tmp_path))
    assert isinstance(failed.results[0].outcome, Failed)


@pytest.mark.parametrize("form", ["-j", "-x,"])
def test_perf_stat_is_read_as_it_is_today(tmp_path, form):
    file = tmp_path / "f"
    said = run("perf", "stat", form, "-o", str(file), "-e", "task-clock,page-faults,cycles", "true")
    if not file.exists() or not file.stat().st_size:
        pytest.skip(f"perf counts nothing here: {said.decode(errors='replace').strip()[:200]}")
    found = read("perf-stat", file.read_bytes())
    assert [each.benchmark.partition(":")[0] for each in found.results] == [
        f"perf_stat.{event}" for event in ("task-clock", "page-faults", "cycles")
    ]
    assert {type(each.outcome) for each in found.results} <= {Unverified, Unsupported}


def test_pyperf_is_read_as_it_is_today(tmp_path):
    pytest.importorskip("pyperf", reason="pyperf is not installed: pip install pyperf")
    file = tmp_path / "f.json"
    run(
        sys.executable,
        "-m",
        "pyperf",
        "timeit",
        "-p",
        "2",
        "-n",
        "2",
        "-w",
        "1",
        "-l",
        "10",
        "-q",
        "-o",
        str(file),
        "1",
    )
    found = read("pyperf", file.read_bytes())
    assert [each.block for each in found.results] == [0, 1]


def test_pytest_benchmark_is_read_as_it_is_today(tmp_path):
    pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed: pip install pytest-benchmark")
    (tmp_path / "test_a.py").write_text("def test_a(benchmark):\n    benchmark(sum, [1])\n")
    file = tmp_path / "f.json"
    run(sys.executable, "-m", "pytest", f"--benchmark-json={file}", str(tmp_path), cwd=tmp_path)
    (found,) = read("pytest-benchmark", file.read_bytes()).results
    rounds = json.loads(file.read_bytes())["benchmarks"][0]["stats"]["rounds"]
    assert len(found.outcome.measurements[0].samples) == rounds
