"""The questions: one folder a tier, one file a question, one line here.

Those of others stand in the entry point group `benchproof.benchmarks`.
"""

from __future__ import annotations

from benchproof.plugins import Table

_PRIMITIVE = "benchproof.benchmarks.primitive"
BENCHMARKS = Table(
    group="benchproof.benchmarks",
    what="benchmark",
    own={
        "syscall.getpid": f"{_PRIMITIVE}.getpid:Getpid",
        "syscall.read_null": f"{_PRIMITIVE}.read_null:ReadNull",
        "syscall.write_null": f"{_PRIMITIVE}.write_null:WriteNull",
        "syscall.stat": f"{_PRIMITIVE}.stat:Stat",
        "syscall.open_close": f"{_PRIMITIVE}.open_close:OpenClose",
        "ipc.pipe": f"{_PRIMITIVE}.pipe:Pipe",
        "ipc.pipe_pingpong": f"{_PRIMITIVE}.pipe_pingpong:PipePingpong",
        "ipc.unix_pingpong": f"{_PRIMITIVE}.unix_pingpong:UnixPingpong",
        "ipc.futex_pingpong": f"{_PRIMITIVE}.futex_pingpong:FutexPingpong",
        "process.fork_exit": f"{_PRIMITIVE}.fork_exit:ForkExit",
        "process.fork_exec": f"{_PRIMITIVE}.fork_exec:ForkExec",
        "process.thread_create": f"{_PRIMITIVE}.thread_create:ThreadCreate",
        "memory.mmap_fault": f"{_PRIMITIVE}.mmap_fault:MmapFault",
        "memory.mprotect": f"{_PRIMITIVE}.mprotect:Mprotect",
        "memory.memcpy": f"{_PRIMITIVE}.memcpy:Memcpy",
        "timer.wake": f"{_PRIMITIVE}.timer_wake:TimerWake",
    },
)
SUITES = {"primitive": tuple(BENCHMARKS.own)}
