"""Which function an address is in: the probe's, or a kernel's, by ELF symbols; a running kernel's by its own word."""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Iterable, Iterator, Sequence

from benchproof.errors import TargetFailed
from benchproof.guest import exact
from benchproof.guest.machine import Machine
from benchproof.model import Frozen

KERNEL_HALF = 1 << 63  # a 64-bit kernel's own addresses have this bit, a program's have not
_PAGE = 4096
_RANGES_BYTES = 48 << 10  # what an exact guest takes as input of a command
_RANGES = 8000
_FIRST_GAP = 64
_TIMEOUT_S = 120.0
_LINE = re.compile(rb"([0-9a-f]{16}) (\S+)(?:\t\[([^\]\s]+)\])?")
_SYMTAB, _EXECUTABLE = 2, 4
_FUNCTIONS = {0: 1, 2: 0}  # type -> rank among names of one address: FUNC before NOTYPE


class Table:
    """Names of ranges of addresses."""

    def __init__(self, symbols: Iterable[tuple[int, int, str]]) -> None:
        """(start, end, name); end 0: where the next one starts. Of several at one start the first counts."""
        first: dict[int, tuple[int, str]] = {}
        for start, end, name in symbols:
            first.setdefault(start, (end, name))
        self._starts = sorted(first)
        self._rest = [first[start] for start in self._starts]

    def __len__(self) -> int:
        return len(self._starts)

    def name(self, address: int) -> str | None:
        """The name of the function that contains the address; None if none does."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        end, name = self._rest[at]
        return name if address < end or not end else None

    def start(self, wanted: str) -> int | None:
        """Where the function of that name starts."""
        return next((start for start, (_, name) in zip(self._starts, self._rest, strict=True) if name == wanted), None)

    def span(self, wanted: str) -> tuple[int, int] | None:
        """Where the function of that name starts, and where what follows it does."""
        return next(
            (
                (start, end)
                for start, (end, name) in zip(self._starts, self._rest, strict=True)
                if name == wanted and end
            ),
            None,
        )


def name_of(address: int, *, user: Table, kernel: Table) -> tuple[str, str]:
    """(side, function); an address in no function is named by its page, it is never left out."""
    side, table = ("kernel", kernel) if address >= KERNEL_HALF else ("user", user)
    page = address // _PAGE * _PAGE
    return side, table.name(address) or f"[{side}] {page:x}-{page + _PAGE:x}"


def of_elf(content: bytes) -> Table:
    """The functions of an ELF file, little endian, 64 or 32 bits; none if it has no symbols. Raises TargetFailed."""
    if not content.startswith(b"\x7fELF"):
        return Table(())
    try:
        found = sorted(_functions(content), key=lambda each: each.rank)
    except (struct.error, OverflowError, IndexError, UnicodeDecodeError) as error:
        raise TargetFailed("the symbols of an ELF file are damaged") from error
    return Table((each.start, each.end, each.name) for each in found)


class _Function(Frozen, frozen=True):
    start: int
    end: int
    name: str
    rank: tuple[int, int, str]


class _Section(Frozen, frozen=True):
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def _functions(elf: bytes) -> Iterator[_Function]:
    wide = elf[4] == 2
    symbol = struct.Struct("<IBBHQQ" if wide else "<IIIBBH")
    sections = list(_sections(elf, wide=wide))
    for table in (each for each in sections if each.kind == _SYMTAB):
        names = sections[table.link].offset
        for at in range(table.offset, table.offset + table.size, symbol.size):
            fields = symbol.unpack_from(elf, at)
            name_at, info, index, start, size = (
                (fields[0], fields[1], fields[3], fields[4], fields[5])
                if wide
                else (fields[0], fields[3], fields[5], fields[1], fields[2])
            )
            if info & 15 not in _FUNCTIONS or not 0 < index < len(sections):
                continue
            section = sections[index]
            name = elf[names + name_at : elf.index(b"\0", names + name_at)].decode()
            if section.flags & _EXECUTABLE and name:
                end = start + size if size else section.address + section.size
                yield _Function(start, end, name, (_FUNCTIONS[info & 15], name.count("_"), name))


def _sections(elf: bytes, *, wide: bool) -> Iterator[_Section]:
    (table,) = struct.unpack_from("<Q" if wide else "<I", elf, 40 if wide else 32)
    size, count = struct.unpack_from("<HH", elf, 58 if wide else 46)
    for number in range(count):
        fields = struct.unpack_from("<4xIQQQQI" if wide else "<4xIIIIII", elf, table + number * size)
        yield _Section(*fields)


def of_kernel(counter: exact.Counter, machine: Machine, addresses: Iterable[int]) -> Table:
    """The functions of the running kernel that hold these addresses, asked of /proc/kallsyms in an exact clone.

    A kernel without that is named by its own ELF symbols, if it is a file that has them.
    """
    wanted = sorted(address for address in addresses if address >= KERNEL_HALF)
    ranges = "".join(f"{low:x} {high:x}\n" for low, high in joined(wanted))
    done = counter.once([machine.probe, "symbols"], stdin=ranges.encode(), timeout_s=_TIMEOUT_S)
    if done.exit_status == 0 and (table := of_lines(done.stdout)):
        return table
    return of_elf(machine.kernel.read_bytes())


def of_lines(answer: bytes) -> Table:
    """The table in what `probe symbols` printed: `START NAME` a line, and behind a tab the module, if it is in one."""
    found = []
    for start, name, module in _LINE.findall(answer):
        where = f" [{module.decode()}]" if module else ""
        if int(start, 16) >= KERNEL_HALF:
            found.append((int(start, 16), 0, name.decode() + where))
    return Table(found)


def joined(addresses: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending addresses as few enough ranges for a guest to take; those near one another share one."""
    gap = _FIRST_GAP
    while True:
        ranges: list[tuple[int, int]] = []
        for address in addresses:
            if ranges and address - ranges[-1][1] <= gap:
                ranges[-1] = (ranges[-1][0], address)
            else:
                ranges.append((address, address))
        if len(ranges) <= _RANGES and len(ranges) * 34 <= _RANGES_BYTES:
            return ranges
        gap *= 4
