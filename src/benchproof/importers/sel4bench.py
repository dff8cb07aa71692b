"""The history of seL4's benchmarks: a JSON line a workflow run, a metric as `[min, q1, median, mean, q3, max, sd, n]`.

Each line is a run of its own. All are cycles of the processor, which compare with no time. There are no samples: each
statistic is kept under its own name. A 0 among min, q1, median, q3 and max beside a mean that is none means *not
recorded* (early processing keeps only mean, SD and n); it becomes no number here.
"""

from __future__ import annotations

import itertools
import re
from pathlib import PurePath
from typing import Any

from benchproof.importers import Format, Found, Glimpse, Imported, Unreadable, shared, strict
from benchproof.model import Invalid, Unsupported, Unverified

_HEAD = {"ts": str, "sha": str, "sha_kernel": str, "sha_bench": str, "run_id": int}
_STATISTICS = ("min", "q1", "median", "mean", "q3", "max", "stddev")
_ORDERED = ("min", "q1", "median", "q3", "max")
_KEY = re.compile(r"[a-z0-9_]{1,100}")
_ROUNDING = 0.5  # cycles; the mean is rounded to a whole one
_NOTES = (
    "cycles of the processor, measured in the guest: they compare with no time and with no other processor",
    "statistics without their samples: what is 0 beside a mean was not recorded, and is left out",
)


def sniff(glimpse: Glimpse) -> bool:
    """Whether the first line is one of the history."""
    first, _, _ = glimpse.head.partition("\n")
    return first.startswith("{") and all(f'"{key}"' in first for key in _HEAD)


def read(content: bytes, name: str) -> tuple[Imported, ...]:
    """A run for each line; its platform and configuration are only in the name of the file."""
    raw = content.split(b"\n")
    return tuple(_run(line, number, name, raw[number - 1]) for number, line in strict.lines(content, name))


def _run(line: Any, number: int, name: str, raw: bytes) -> Imported:
    where = f"line {number}"
    if not isinstance(line, dict):
        raise Unreadable(name, where, f"expected an object, found {type(line).__name__}")
    for key, kind in _HEAD.items():
        if not isinstance(line.get(key), kind) or isinstance(line.get(key), bool):
            raise Unreadable(name, where, f"expected '{key}' to be {kind.__name__}, found {str(line.get(key))[:40]!r}")
    target = strict.plain(PurePath(name).name.partition(".")[0])
    return Imported(
        tool="sel4bench",
        version="",
        created_at=strict.instant(line["ts"], name, f"{where}, ts"),
        results=tuple(_found(key, line[key], target, name, where) for key in line if key not in _HEAD),
        facts={"machine": {"platform": target}, "probe": {"sel4bench": strict.plain(line["sha_bench"])}},
        labels={
            "commit": strict.plain(line["sha_kernel"]),
            "manifest": strict.plain(line["sha"]),
            "workflow_run": str(line["run_id"]),
        },
        notes=_NOTES,
        content=raw + b"\n",
    )


def _found(key: str, value: Any, target: str, name: str, where: str) -> Found:
    if not _KEY.fullmatch(key):
        raise Unreadable(name, where, f"expected the key of a metric, found '{key[:100]}'")
    numbers = strict.convert(value, name, list[float], f"{where}, {key}")
    if len(numbers) != len(_STATISTICS) + 1 or numbers[-1] != int(numbers[-1]):
        raise Unreadable(name, f"{where}, {key}", "expected [min, q1, median, mean, q3, max, sd, n]")
    statistics, n = dict(zip(_STATISTICS, numbers, strict=False)), int(numbers[-1])
    absent = [word for word in _ORDERED if not any(statistics[each] for each in _ORDERED)]
    evidence = {"n": str(n)} | ({"not_recorded": ", ".join(absent)} if absent else {})
    outcome: Unverified | Unsupported | Invalid
    if not any(statistics.values()) or n <= 0:
        outcome = Unsupported(reason="not recorded: every statistic is 0" if n > 0 else "no measurement: n is 0")
    elif problem := _contradiction({word: statistics[word] for word in _STATISTICS if word not in absent}):
        outcome = Invalid(reason=f"the statistics contradict one another: {problem}")
    else:
        kept = {word: number for word, number in statistics.items() if word not in absent}
        outcome = Unverified("sel4bench", shared.published(f"sel4bench.{key}.cycles", "cycles", kept))
    return Found(target=target, benchmark=f"sel4bench.{key}", parameters={}, outcome=outcome, evidence=evidence)


def _contradiction(statistics: dict[str, float]) -> str:
    """What cannot be at the same time; empty if all can."""
    if negative := [word for word, number in statistics.items() if number < 0]:
        return f"{negative[0]} is {statistics[negative[0]]:g}"
    ordered = [word for word in _ORDERED if word in statistics]
    for low, high in itertools.pairwise(ordered):
        if statistics[low] > statistics[high]:
            return f"{low} {statistics[low]:g} is over {high} {statistics[high]:g}"
    mean = statistics["mean"]
    least, most = statistics.get("min", mean), statistics.get("max", mean)
    if not least - _ROUNDING <= mean <= most + _ROUNDING:
        return f"mean {mean:g} is not within {least:g} to {most:g}"
    return ""


FORMAT = Format(sniff=sniff, read=read)
