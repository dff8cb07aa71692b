"""Builds the kernel of `tests/kernels`, which says what a test wants it to."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "kernels"
FLAGS = (
    "-m32 -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none "
    "-mgeneral-regs-only -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--no-warn-rwx-segments"
)


def build(folder: Path, *more: str) -> Path:
    """Its image, an ELF file; `more` are options of the compiler."""
    image = folder / f"speaker{len(more)}.elf"
    script = f"-Wl,-T,{SOURCES / 'link.ld'}"
    sources = [SOURCES / "start.S", SOURCES / "speaker.c"]
    subprocess.run(["cc", *FLAGS.split(), *more, script, "-o", image, *sources], check=True)
    return image
