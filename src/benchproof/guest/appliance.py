"""A machine with a system on it that needs nothing but its image, and whether that image is one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchproof.errors import NotSupported
from benchproof.guest.architecture import X86_64
from benchproof.guest.hardware import Hardware

_ELF, _SETUP, _SETUP_AT = b"\x7fELF", b"HdrS", 0x202
_MULTIBOOT, _MULTIBOOT_WITHIN = (0x1BADB002).to_bytes(4, "little"), 8192


class Appliance(Hardware, frozen=True, kw_only=True):
    """A machine with a system on it that needs nothing but its image."""

    image: Path
    initrd: Path | None = None
    arguments: str = ""
    reboot: bool = False  # it may restart the machine

    def command(self, *, monitor: str, arguments: str) -> list[str]:
        """The command line; `arguments` come after the system's own."""
        words = f"{self.arguments} {arguments}".strip()
        return [
            *self.words(console="file,path=/dev/stdout", second="null", monitor=f"socket,fd={monitor}"),
            "-S",
            *(() if self.reboot else ("-no-reboot",)),
            *("-kernel", str(self.image)),
            *(("-initrd", str(self.initrd)) if self.initrd else ()),
            *(("-append", words) if words else ()),
        ]

    def described(self) -> Appliance:
        """The same machine without the paths of this host."""
        initrd = Path("INITRD") if self.initrd else None
        return msgspec.structs.replace(self, image=Path("IMAGE"), initrd=initrd)

    def refuse_no_kernel(self) -> None:
        """QEMU would start anything on an x86 machine, and say nothing. Raises NotSupported."""
        if self.architecture.debug_exit != X86_64.debug_exit:
            return
        try:
            with self.image.open("rb") as file:
                head = file.read(_MULTIBOOT_WITHIN)
        except OSError as error:
            raise NotSupported(f"the image cannot be read: {error.strerror}", missing="an image that can") from error
        if not (head.startswith(_ELF) or head[_SETUP_AT : _SETUP_AT + len(_SETUP)] == _SETUP or _MULTIBOOT in head):
            raise NotSupported(
                f"the image is neither ELF nor a bzImage, and has no multiboot header; it begins with {head[:16]!r}",
                missing="set image to what `qemu -kernel` boots: ELF with a PVH note, multiboot, or a bzImage",
            )
