"""A collector gets the figures of the textfile over OTLP, and one that does not take them is told of in one line."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import sys

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from benchproof import telemetry
from benchproof.errors import NotDelivered, UsageError
from runs import passed, write
from test_monitoring import HOSTILE, call, serving, told


@contextlib.contextmanager
def collector(status=200):
    """A collector that keeps what it was sent."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_): ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/v1/metrics", received


def test_a_collector_gets_the_same_figures_over_otlp(tmp_path):
    write(tmp_path, 0, passed(80, metric=HOSTILE))
    with collector() as (url, received):
        assert call(tmp_path, "--otlp", url) == (0, "")
    ((path, body),) = received
    assert path == "/v1/metrics"
    request = ExportMetricsServiceRequest.FromString(body)
    (resource,) = request.resource_metrics
    assert {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"] == "benchproof"
    sent = {
        (
            metric.name.removeprefix("benchproof_"),
            *sorted((it.key, it.value.string_value) for it in point.attributes),
        ): (point.as_double or float(point.as_int))
        for metric in resource.scope_metrics[0].metrics
        for point in metric.gauge.data_points
    }
    assert sent == told(tmp_path)


def test_a_collector_that_refuses_or_is_not_there_is_one_line_and_exit_status_3(capfd):
    with (
        collector(status=400) as (url, _),
        pytest.raises(NotDelivered, match=r"did not take it: .*Bad Request") as refused,
    ):
        telemetry.send((), url, timeout_s=5)
    assert refused.value.exit_status == 3
    with pytest.raises(NotDelivered, match="did not take it"):
        telemetry.send((), url, timeout_s=0.1)
    with pytest.raises(UsageError, match="expected the address of a collector"):
        telemetry.send((), "collector:4318", timeout_s=1)
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_the_message_says_how_to_get_it():
    code = (
        "import sys; sys.modules['opentelemetry.sdk.metrics'] = None\n"
        "from benchproof import telemetry\n"
        "try: telemetry.send((), 'http://127.0.0.1:1/', timeout_s=1)\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "pip install 'benchproof[telemetry]'" in done.stdout
