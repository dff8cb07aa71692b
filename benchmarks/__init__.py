"""Measures benchproof itself against named peers, in the same run and on the same machine.

A tool that judges others must show what it costs and that its figures agree with those of tools people trust.
`make bench` prints one table and keeps the raw figures in `benchmarks/results/`. Nothing here is asserted: a goal that
is missed is a finding to read, and on a busy machine no finding at all, so each study says what else was running.

One study is one file and one line here: a `GOAL` in words, and a function `study` that returns rows;
`quick_study`, where there is one, does less.
"""

from __future__ import annotations

STUDIES = {
    "coverage": "benchmarks.coverage",
    "startup": "benchmarks.startup",
    "getpid_vs_perf": "benchmarks.getpid_vs_perf",
    "fork_exec_vs_hyperfine": "benchmarks.fork_exec_vs_hyperfine",
    "disk_vs_fio": "benchmarks.disk_vs_fio",
    "http_vs_wrk": "benchmarks.http_vs_wrk",
    "quick_run": "benchmarks.quick_run",
    "guest_start": "benchmarks.guest_start",
    "clones": "benchmarks.clones",
    "exact_suite": "benchmarks.exact_suite",
    "gate_study": "benchmarks.gate_study",
    "lifecycle_overhead": "benchmarks.lifecycle_overhead",
    "sandboxd_overhead": "benchmarks.sandboxd_overhead",
    "trend_study": "benchmarks.trend_study",
    "index_study": "benchmarks.index_study",
    "dashboard_first_page": "benchmarks.dashboard_first_page",
}
