"""The requests to Firecracker, held to its documented interface by a socket that keeps to it."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchproof.errors import NotSupported, TargetFailed
from benchproof.model import Forkable
from benchproof.service.firecracker import Vmm
from benchproof.targets.firecracker import Firecracker

# required and allowed fields of each request, from src/firecracker/swagger/firecracker.yaml of version 1.x
SPECIFIED = {
    "PUT /machine-config": ({"vcpu_count", "mem_size_mib"}, {"smt", "track_dirty_pages", "cpu_template", "huge_pages"}),
    "PUT /boot-source": ({"kernel_image_path"}, {"boot_args", "initrd_path"}),
    "PUT /drives/root": ({"drive_id", "is_root_device"}, {"path_on_host", "is_read_only", "cache_type", "io_engine"}),
    "PUT /actions": ({"action_type"}, set()),
    "PATCH /vm": ({"state"}, set()),
    "PUT /snapshot/create": ({"mem_file_path", "snapshot_path"}, {"snapshot_type"}),
    "PUT /snapshot/load": ({"snapshot_path"}, {"mem_backend", "mem_file_path", "resume_vm", "track_dirty_pages"}),
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"firecracker_version": "1.12.0"} if self.path == "/version" else {})

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = f"{self.command} {self.path}"
        self.server.asked.append((asked, body))
        required, allowed = SPECIFIED[asked]
        if self.headers["Content-Type"] != "application/json" or not required <= set(body) <= required | allowed:
            self._send(400, {"fault_message": f"fields {sorted(body)}"})
        elif self.server.fault == asked:
            self._send(400, {"fault_message": "The kernel file cannot be opened"})
        else:
            self.send_response(204)
            self.end_headers()

    do_PATCH = do_PUT  # noqa: N815 - the name that http.server asks for

    def _send(self, status: int, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def api(tmp_path):
    path = tmp_path / "api"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        server.daemon_threads = True
        server.asked, server.fault = [], ""
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with closing(Vmm(path)) as vmm:
            yield SimpleNamespace(vmm=vmm, server=server)
        server.shutdown()
        thread.join()


def test_a_boot_is_configured_as_documented_and_then_started(api):
    assert api.vmm.version() == "1.12.0"
    kernel, archive = Path("/kernel"), Path("/initramfs")
    api.vmm.configure(vcpus=2, memory_mib=256, kernel=kernel, initramfs=archive, arguments="quiet")
    api.vmm.drive("root", Path("/disk"), root=True, read_only=False)
    api.vmm.start()
    assert api.server.asked == [
        ("PUT /machine-config", {"vcpu_count": 2, "mem_size_mib": 256}),
        ("PUT /boot-source", {"kernel_image_path": "/kernel", "initrd_path": "/initramfs", "boot_args": "quiet"}),
        (
            "PUT /drives/root",
            {"drive_id": "root", "path_on_host": "/disk", "is_root_device": True, "is_read_only": False},
        ),
        ("PUT /actions", {"action_type": "InstanceStart"}),
    ]


def test_a_snapshot_is_taken_of_a_paused_machine_that_then_goes_on(api):
    api.vmm.freeze(state=Path("/s"), memory=Path("/m"))
    assert [asked for asked, _ in api.server.asked] == ["PATCH /vm", "PUT /snapshot/create", "PATCH /vm"]
    assert [api.server.asked[n][1] for n in (0, 2)] == [{"state": "Paused"}, {"state": "Resumed"}]
    api.server.fault = "PUT /snapshot/create"
    with pytest.raises(TargetFailed, match=r"^snapshot/create: expected status 204, found 400: The kernel file"):
        api.vmm.freeze(state=Path("/s"), memory=Path("/m"))
    assert api.server.asked[-1] == ("PATCH /vm", {"state": "Resumed"})


def test_a_clone_maps_the_memory_of_its_image(api):
    api.vmm.restore(state=Path("/s"), memory=Path("/m"))
    backend = {"backend_type": "File", "backend_path": "/m"}
    assert api.server.asked == [
        ("PUT /snapshot/load", {"snapshot_path": "/s", "mem_backend": backend, "resume_vm": True})
    ]


def test_a_refusal_is_told_with_its_step_and_words(api):
    api.server.fault = "PUT /boot-source"
    with pytest.raises(TargetFailed, match=r"^boot-source: expected status 204, found 400: The kernel file cannot be"):
        api.vmm.configure(vcpus=1, memory_mib=128, kernel=Path("k"), initramfs=Path("i"), arguments="")


def test_nobody_listens_on_the_socket(tmp_path):
    with closing(Vmm(tmp_path / "none")) as vmm, pytest.raises(TargetFailed, match=r"^version: the connection failed"):
        vmm.version()


def test_without_the_program_it_is_unsupported_and_says_how_to_get_it(lab):
    target = Firecracker(Firecracker.Settings(firecracker="no-such-firecracker"), lab)
    assert isinstance(target, Forkable)
    for way in (target.facts, target.image, lambda: target.cold().__enter__()):
        with pytest.raises(NotSupported, match="'no-such-firecracker' is not installed; put `firecracker` of https"):
            way()


def test_without_kvm_it_is_unsupported(lab, tmp_path, monkeypatch):
    program = tmp_path / "firecracker"
    program.write_text("#!/bin/sh\necho Firecracker v1.12.0\n")
    program.chmod(0o755)
    monkeypatch.setattr("benchproof.targets.firecracker._KVM", str(tmp_path / "kvm"))
    with pytest.raises(NotSupported, match="a host with KVM"):
        Firecracker(Firecracker.Settings(firecracker=str(program)), lab).facts()


def test_a_program_that_ends_at_once_did_not_start(lab, tmp_path, monkeypatch):
    program, kvm = tmp_path / "firecracker", tmp_path / "kvm"
    program.write_text("#!/bin/sh\n[ $1 = --version ] && echo Firecracker v1.12.0 && exit 0\nexit 1\n")
    program.chmod(0o755)
    kvm.touch()
    monkeypatch.setattr("benchproof.targets.firecracker._KVM", str(kvm))
    target = Firecracker(Firecracker.Settings(firecracker=str(program)), lab)
    with pytest.raises(TargetFailed, match="ended with status 1 before it listened"), target.cold():
        pass
    assert not list(Path(lab.scratch).glob("vmm-*"))
