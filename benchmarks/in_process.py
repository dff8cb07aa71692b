"""Runs benchproof's command line inside this interpreter and leaves what it cost, as JSON.

    python -m benchmarks.in_process USAGE.json run --targets host

Who waits for a process from outside sees it and its children as one sum. Only the process itself can tell the two
apart: RUSAGE_SELF is the harness, interpreter and imports included; RUSAGE_CHILDREN is all that it started.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from benchproof.cli import benchproof


def main(argv: list[str]) -> int:
    """The exit status of benchproof; an expected error keeps its traceback, since nobody expected it here."""
    usage_file, *arguments = argv
    status = benchproof.main(arguments, standalone_mode=False)
    usage = {"harness_cpu_s": _cpu_s(resource.RUSAGE_SELF), "children_cpu_s": _cpu_s(resource.RUSAGE_CHILDREN)}
    Path(usage_file).write_text(json.dumps(usage), encoding="utf-8")
    return int(status or 0)


def _cpu_s(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
