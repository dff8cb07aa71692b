"""The interface of the Firecracker VMM: HTTP over the socket of one process, which is one machine.

Requests as its specification has them (src/firecracker/swagger/firecracker.yaml, version 1.x): what changes something
is answered with 204 and nothing, and what is refused with 400 and `fault_message`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from benchproof.errors import TargetFailed
from benchproof.service.http import Client

_TIMEOUT_S = 60.0
_DONE = 204


class Vmm:
    """One Firecracker process, by its API socket."""

    def __init__(self, socket: Path) -> None:
        self._client = Client("http://localhost", unix=str(socket))

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def version(self) -> str:
        """Of the program. Raises TargetFailed, also while it does not listen yet."""
        answer = self._client.ask("version", "GET", "/version", timeout_s=_TIMEOUT_S)
        try:
            return str(msgspec.json.decode(answer.body, type=dict[str, Any])["firecracker_version"])
        except (msgspec.MsgspecError, KeyError) as error:
            raise TargetFailed(f"version: expected firecracker_version, found {answer.shown}") from error

    def configure(self, *, vcpus: int, memory_mib: int, kernel: Path, initramfs: Path, arguments: str) -> None:
        """Before the start: the machine, and what it boots."""
        self._put("machine-config", vcpu_count=vcpus, mem_size_mib=memory_mib)
        self._put("boot-source", kernel_image_path=str(kernel), initrd_path=str(initramfs), boot_args=arguments)

    def drive(self, name: str, path: Path, *, root: bool, read_only: bool) -> None:
        """Before the start: a disk."""
        body = {"drive_id": name, "path_on_host": str(path), "is_root_device": root, "is_read_only": read_only}
        self._put(f"drives/{name}", **body)

    def start(self) -> None:
        """Boot it."""
        self._put("actions", action_type="InstanceStart")

    def freeze(self, *, state: Path, memory: Path) -> None:
        """Pause it, write all of it, and let it go on, also where it could not be written."""
        self._send("PATCH", "vm", state="Paused")
        try:
            self._put("snapshot/create", snapshot_type="Full", snapshot_path=str(state), mem_file_path=str(memory))
        finally:
            self._send("PATCH", "vm", state="Resumed")

    def restore(self, *, state: Path, memory: Path) -> None:
        """In a process that was asked for nothing yet: go on from there. The memory's file is mapped, not read."""
        backend = {"backend_type": "File", "backend_path": str(memory)}
        self._put("snapshot/load", snapshot_path=str(state), mem_backend=backend, resume_vm=True)

    def _put(self, path: str, **body: Any) -> None:
        self._send("PUT", path, **body)

    def _send(self, method: str, path: str, **body: Any) -> None:
        headers = {"Content-Type": "application/json"}
        content = msgspec.json.encode(body)
        answer = self._client.ask(path, method, f"/{path}", body=content, headers=headers, timeout_s=_TIMEOUT_S)
        if answer.status != _DONE:
            raise TargetFailed(f"{path}: expected status {_DONE}, found {answer.status}: {_fault(answer.body)}")


def _fault(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body, type=dict[str, Any])["fault_message"])
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return repr(body[:200])
