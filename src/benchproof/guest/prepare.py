"""Puts the usual Debian root into the cache ahead of its first use: `python -m benchproof.guest.prepare`."""

from __future__ import annotations

import sys

from benchproof.errors import BenchproofError
from benchproof.guest import roots
from benchproof.places import cache_folder


def main() -> int:
    """0 where it is there, 3 where it cannot be had; why, on standard error."""
    print("a Debian root file system, about a minute unless it is in the cache", file=sys.stderr)  # noqa: T201
    try:
        roots.find(roots.DEBIAN, form="ext4", size_bytes=roots.DEFAULT_BYTES, packages=(), cache=cache_folder())
    except BenchproofError as error:
        print(f"no root = 'debian' here: {error}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
