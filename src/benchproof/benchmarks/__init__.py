"""The questions: one folder a tier, one file a question, one line here.

Those of others stand in the entry point group `benchproof.benchmarks`.
"""

from __future__ import annotations

from typing import Any

from benchproof.plugins import Table

_SMOKE = "benchproof.benchmarks.smoke"
_PRIMITIVE = "benchproof.benchmarks.primitive"
_TRANSLATED = "benchproof.benchmarks.translated"
_LIFECYCLE = "benchproof.benchmarks.lifecycle"
_PRIVILEGED = "benchproof.benchmarks.privileged"
_SCALING = "benchproof.benchmarks.scaling"
_AGENT = "benchproof.benchmarks.agent"
_GUEST = "benchproof.benchmarks.guest"
_RESILIENCE = "benchproof.benchmarks.resilience"
BENCHMARKS = Table(
    group="benchproof.benchmarks",
    what="benchmark",
    own={
        "smoke.boot": f"{_SMOKE}.boot:Boot",
        "smoke.process": f"{_SMOKE}.process:Process",
        "smoke.files": f"{_SMOKE}.files:Files",
        "smoke.memory": f"{_SMOKE}.memory:Memory",
        "smoke.threads": f"{_SMOKE}.threads:Threads",
        "smoke.ipc": f"{_SMOKE}.ipc:Ipc",
        "smoke.authority": f"{_SMOKE}.authority:Refusals",
        "smoke.protocol": f"{_SMOKE}.protocol:Transcript",
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
        "ring.nop": f"{_TRANSLATED}.ring_nop:RingNop",
        "ipc.eventfd_pingpong": f"{_TRANSLATED}.eventfd_pingpong:EventfdPingpong",
        "ipc.tcp_pingpong": f"{_TRANSLATED}.tcp_pingpong:TcpPingpong",
        "file.reread": f"{_TRANSLATED}.reread:Reread",
        "file.map_read": f"{_TRANSLATED}.map_read:MapRead",
        "kernel.primitive": "benchproof.benchmarks.kernel.primitive:Primitive",
        "python.call": "benchproof.benchmarks.python.call:Call",
        "mount.tmpfs": f"{_PRIVILEGED}.mount_tmpfs:MountTmpfs",
        "lifecycle.provision": f"{_LIFECYCLE}.provision:Provision",
        "lifecycle.exec_ready": f"{_LIFECYCLE}.exec_ready:ExecReady",
        "lifecycle.exec": f"{_LIFECYCLE}.exec:Exec",
        "lifecycle.delete": f"{_LIFECYCLE}.delete:Delete",
        "lifecycle.total": f"{_LIFECYCLE}.total:Total",
        "fork.fork": f"{_LIFECYCLE}.fork:Freeze",
        "fork.image_size": f"{_LIFECYCLE}.image_size:ImageSize",
        "fork.boot_provision": f"{_LIFECYCLE}.boot_provision:BootProvision",
        "fork.boot_ready": f"{_LIFECYCLE}.boot_ready:BootReady",
        "fork.file_survived": f"{_LIFECYCLE}.file_survived:FileSurvived",
        "fork.workspace_survived": f"{_LIFECYCLE}.workspace_survived:WorkspaceSurvived",
        "fork.package_survived": f"{_LIFECYCLE}.package_survived:PackageSurvived",
        "fork.fanout": f"{_LIFECYCLE}.fanout:Fanout",
        "density.clones": f"{_LIFECYCLE}.density:Clones",
        "boot.phases": f"{_LIFECYCLE}.phases:Phases",
        "scaling.primes": f"{_SCALING}.primes:Primes",
        "scaling.hash": f"{_SCALING}.hash:Hash",
        "agent.tool_call": f"{_AGENT}.tool_call:ToolCall",
        "agent.startup": f"{_AGENT}.startup:Startup",
        "agent.memory": f"{_AGENT}.memory:Memory",
        "agent.cpu": f"{_AGENT}.cpu:Cpu",
        "agent.network": f"{_AGENT}.network:Network",
        "agent.throughput": f"{_AGENT}.throughput:Throughput",
        "disk.sequential_write": f"{_GUEST}.disk_sequential_write:SequentialWrite",
        "disk.sequential_read": f"{_GUEST}.disk_sequential_read:SequentialRead",
        "disk.random_write": f"{_GUEST}.disk_random_write:RandomWrite",
        "disk.random_read": f"{_GUEST}.disk_random_read:RandomRead",
        "disk.queued_read": f"{_GUEST}.disk_queued_read:QueuedRead",
        "rootfs.sequential_read": f"{_GUEST}.rootfs_sequential_read:SequentialRead",
        "rootfs.random_read": f"{_GUEST}.rootfs_random_read:RandomRead",
        "startup.command": f"{_GUEST}.startup_command:Command",
        "snapshot.create": f"{_GUEST}.snapshot_create:Create",
        "snapshot.list": f"{_GUEST}.snapshot_list:List",
        "snapshot.changes": f"{_GUEST}.snapshot_changes:Changes",
        "snapshot.revert": f"{_GUEST}.snapshot_revert:Revert",
        "snapshot.delete": f"{_GUEST}.snapshot_delete:Delete",
        "snapshot.compact": f"{_GUEST}.snapshot_compact:Compact",
        "scale.agents": f"{_RESILIENCE}.scale:Agents",
        "chaos.kill_guest": f"{_RESILIENCE}.kill_guest:KillGuest",
        "chaos.pause_guest": f"{_RESILIENCE}.pause_guest:PauseGuest",
        "chaos.exhaust_memory": f"{_RESILIENCE}.exhaust_memory:ExhaustMemory",
        "chaos.fill_disk": f"{_RESILIENCE}.fill_disk:FillDisk",
        "chaos.snapshot_under_write": f"{_RESILIENCE}.snapshot_under_write:SnapshotUnderWrite",
        "chaos.kill_daemon": f"{_RESILIENCE}.kill_daemon:KillDaemon",
        "chaos.cut_network": f"{_RESILIENCE}.cut_network:CutNetwork",
        "soak.agents": f"{_RESILIENCE}.soak:Soak",
        "http.requests": f"{_GUEST}.http_requests:Requests",
        "http.download": f"{_GUEST}.http_download:Download",
    },
)
SUITES = {
    tier: tuple(name for name, place in BENCHMARKS.own.items() if place.startswith(f"benchproof.benchmarks.{tier}."))
    for tier in (
        "smoke",
        "primitive",
        "translated",
        "lifecycle",
        "scaling",
        "privileged",
        "guest",
        "resilience",
        "agent",
    )
}
SWEEPS: dict[str, dict[str, list[Any]]] = {  # what a suite asks of each of its own, or of one of them
    "scaling": {"width": [1, 2, 4, 8]},
    "agent.tool_call": {"tool": ["exec", "write_file", "read_file", "list_directory"]},
    **{name: {"files": [10, 100, 500]} for name in SUITES["guest"] if name.startswith("snapshot.")},
}
CASES: dict[str, tuple[dict[str, Any], ...]] = {  # a benchmark that a suite asks more than once
    "startup.command": (
        {"command": ["python3", "-c", "print(6*7)"], "expect": "42"},
        {"command": ["node", "-e", "console.log(6*7)"], "expect": "42"},
    )
}
