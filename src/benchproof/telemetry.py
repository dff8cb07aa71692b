"""The gauges of `monitoring`, sent once to a collector that speaks OTLP over HTTP. Needs the extra `telemetry`."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from benchproof import __version__
from benchproof.errors import NotDelivered, UsageError, one_line
from benchproof.monitoring import Gauge

_EXAMPLE = "http://127.0.0.1:4318/v1/metrics"
_LOGGER = "opentelemetry.exporter.otlp.proto.http.metric_exporter"
_WORDS = 200  # characters of a foreign reason


def send(gauges: Sequence[Gauge], url: str, *, timeout_s: float) -> None:
    """Returns when the collector took them. Raises UsageError, and NotDelivered if it did not in time."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--otlp: expected the address of a collector such as {_EXAMPLE}, found '{url}'")
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - extra
        from opentelemetry.sdk.metrics import export  # noqa: PLC0415 - the same
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the same
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        raise UsageError(f"OTLP needs {error.name}: pip install 'benchproof[telemetry]'") from error
    now_ns = time.time_ns()

    def metric(gauge: Gauge) -> export.Metric:
        points = [
            export.NumberDataPoint(
                attributes=dict(each.labels), start_time_unix_nano=0, time_unix_nano=now_ns, value=each.value
            )
            for each in gauge.samples
        ]
        unit = "s" if gauge.unit == "seconds" else ""
        return export.Metric(
            name=gauge.name, description=gauge.meaning, unit=unit, data=export.Gauge(data_points=points)
        )

    scope = export.ScopeMetrics(
        scope=InstrumentationScope("benchproof", __version__),
        metrics=[metric(each) for each in gauges if each.samples],
        schema_url="",
    )
    resource = Resource.create({"service.name": "benchproof", "service.version": __version__})
    data = export.MetricsData(
        resource_metrics=[export.ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")]
    )
    with _heard() as said:
        exporter = OTLPMetricExporter(endpoint=url, timeout=timeout_s)
        try:
            taken = exporter.export(data) is export.MetricExportResult.SUCCESS
        finally:
            exporter.shutdown()
    if not taken:
        reason = one_line(said[0])[:_WORDS] if said else "no reason given"
        raise NotDelivered(f"--otlp: the collector did not take it: {reason}; expected an address such as {_EXAMPLE}")


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """What the exporter says goes into our one line, not on the terminal."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, listener = logging.getLogger(_LOGGER), Listener()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagates
