"""Runs of a stranger who put markup into every text that a run has: sealed in good order, so that pages show them.

Each text begins with the name of its field in guillemets, so that a test can ask where it went.
"""

from __future__ import annotations

import contextlib

from benchproof import foreign, report
from benchproof.analysis.calibrate import Calibrated, Floor
from benchproof.envelope import fingerprint
from benchproof.model import Envelope, Failed, Invalid, Measurement, Passed, Result, Unsupported, Unverified
from benchproof.store import bundle

_NAME = "__owned"
OWNED = f"window.{_NAME}"
PAYLOADS = {
    "script": f"<script>{OWNED}=1;alert(1)</script>",
    "attribute": f"\"'><img src=x onerror={OWNED}=2><svg onload={OWNED}=2>",
    "event": f"' onmouseover='{OWNED}=3' onfocus=\"{OWNED}=3\" autofocus=\"",
    "url": f'javascript:{OWNED}=4//"><a href="javascript:{OWNED}=4">x</a>',
    "end": (
        f'</title></style></textarea></svg></td>--><iframe srcdoc="<script>parent.{_NAME}=5</script>"></iframe>'
        "{{7*7}}{% raw %}<!--"
    ),
    "bytes": (
        f"%3Cscript%3E&lt;b&gt;&#x3c;script&#x3e;{OWNED}=6\\u003cscript\\u003e]]><![CDATA["
        "<style>*{display:none}</style>"
    ),
}


class Texts:
    """Makes the text of a field, and remembers which there are."""

    def __init__(self, payload: str) -> None:
        self.payload = payload

    def __call__(self, field: str) -> str:
        return f"«{field}»{self.payload}"


def store(home):
    """Two runs for each payload, one of ours and one imported; returns their ids by payload."""
    found = {}
    for number, (name, payload) in enumerate(PAYLOADS.items()):
        texts = Texts(payload)
        found[name] = [own(home, number, texts), imported(home, number, texts)]
        imported(home, number, texts, started_at=texts("started at"))  # which the index refuses, and says so
    return found


def own(home, number, text):
    """A run with a plan, a target that answers and one that does not, and gates."""
    names = [text("target"), text("reference")]
    plan = {
        "targets": {name: {"kind": "host", "reference": names[1]} for name in names},
        "suites": {text("suite"): {"benchmarks": ["syscall.getpid", "syscall.stat", "ipc.pipe"]}},
        "run": {"blocks": 2, "seed": 1, "vary": "system"},
        "gates": {
            "syscall.getpid": {
                "statistic": "max",
                "limit": "< 1 s",
                "target": names[0],
                "title": text("title"),
                "priority": "High",
            }
        },
        "external": {
            text("external"): {
                "source": text("source"),
                "machine": text("machine"),
                "date": "2026-01-01",
                "figures": {"syscall.getpid.latency": "100 ns"},
            }
        },
    }
    outcomes = {
        "syscall.getpid": [measured("syscall.getpid.latency", "ns")],
        "syscall.stat": [Failed(violations=(text("violation"), text("violation 2")))],
        "ipc.pipe": [Unsupported(reason=text("unsupported"), missing=text("missing")), Invalid(reason=text("invalid"))],
    }
    return _write(home, f"2026010{number + 1}T000000Z-00000a", text, names, outcomes, plan)


def imported(home, number, text, **broken):
    """A run of another tool, whose names are all its own."""
    origin = foreign.Origin(
        format=text("format"),
        tool=text("tool"),
        version=text("version"),
        file=text("file"),
        sha256="0" * 64,
        target=text("target name"),
        notes=(text("note"),),
    )
    plan = {foreign.KEY: {name: getattr(origin, name) for name in origin.__struct_fields__}}
    unverified = Unverified(source=text("source"), measurements=(measurement(text("metric"), "ns"),))
    outcomes = {
        text("benchmark"): [unverified],
        text("benchmark 2"): [Failed(violations=(text("violation"),))],
        text("benchmark 3"): [Unsupported(reason=text("unsupported"), missing=text("missing"))],
        text("benchmark 4"): [Invalid(reason=text("invalid"))],
    }
    return _write(
        home, f"2026010{number + 1}T000000Z-00000b{len(broken)}", text, [text("target")], outcomes, plan, **broken
    )


def measured(metric, unit):
    return Passed(measurements=(measurement(metric, unit),))


def measurement(metric, unit):
    return Measurement(
        metric=metric,
        unit=unit,
        better="lower",
        clock="target",
        iterations=10,
        warmups=(2.0,),
        samples=(1.0, 1.5, 1.25),
    )


def _write(home, run_id, text, targets, outcomes, plan, *, started_at="2026-01-01T00:00:00Z"):
    path = home / "runs" / run_id
    described = {name: envelope(text, number) for number, name in enumerate(targets)}
    manifest = bundle.Manifest(
        format=bundle.FORMAT,
        run_id=run_id,
        benchproof=text("version of benchproof"),
        created_at=f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}T00:00:00+00:00",
        state="running",
        plan=plan,
        seed=1,
        definitions=[{"name": text("definition"), "question": text("question"), "oracle": text("oracle")}],
        files={},
        labels={name: text(f"label {name}") for name in ("commit", "branch", "tag", "machine", text("label"))},
        calibration=calibrated(text, targets),
    )
    with contextlib.closing(bundle.Bundle.create(path, manifest, described, {"x<b>": b"<script>"})) as out:
        for target in targets:
            for benchmark, endings in outcomes.items():
                for block in range(2):
                    name, digest = out.write_log("<img src=x onerror=alert(1)>", text("content of a log").encode())
                    outcome = endings[min(block, len(endings) - 1)]
                    parameters = {} if "imported" not in plan else {text("parameter"): text("value")}
                    out.append(
                        Result(
                            run_id=run_id,
                            target=target,
                            benchmark=benchmark,
                            parameters=parameters or _parameters(benchmark),
                            tier=1,
                            block=block,
                            started_at=started_at,
                            duration_ns=1000,
                            envelope=fingerprint(described[target]),
                            attempt=1,
                            outcome=outcome,
                            evidence={text("evidence"): text("evidence value")},
                            logs=(name,),
                            log_hashes=(digest,),
                        )
                    )
        run = bundle.load(path)
        out.seal(report.encoded(report.build(run)))
    return run_id


def _parameters(benchmark):
    import msgspec  # noqa: PLC0415

    from benchproof.benchmarks import BENCHMARKS  # noqa: PLC0415

    return msgspec.to_builtins(BENCHMARKS.load(benchmark)(), enc_hook=float)


def envelope(text, number):
    """Facts that every reader looks for, and some that none does."""
    sections = {
        "host": {"architecture": text("architecture"), "kernel": text("host kernel"), "cpu": text("cpu")},
        "machine": {"execution": "native", "architecture": text("machine architecture"), "cpus": "1"},
        "system": {"kind": text(f"kind {number}"), "kernel": text("kernel"), "sha256": text("sha256")},
        "probe": {"compiler": text("compiler"), "source_sha256": text("source hash")},
        "authority": {"capabilities": text("capabilities")},
        text("section"): {text("fact"): text("fact value")},
    }
    return Envelope(sections=sections)


def calibrated(text, targets):
    floor = Floor(
        target=targets[0],
        benchmark="syscall.getpid",
        parameters={},
        metric="syscall.getpid.latency",
        blocks=2,
        floor=0.01,
        floor_apart=0.02,
        run_id=text("study"),
        measured_at=text("measured at"),
    )
    return Calibrated(floors=(floor,), notes=(text("calibration note"),))
