"""The console script `benchproof`, also as `python -m benchproof`."""

from __future__ import annotations

import sys

from benchproof import __version__


def main() -> None:
    """`--version` is answered at once: who asks for it should not pay for a command line that is not used."""
    if sys.argv[1:] == ["--version"]:
        print(f"benchproof, version {__version__}")  # noqa: T201 - this is its answer
        return
    from benchproof.cli import main as command_line  # noqa: PLC0415 - see above

    command_line()


if __name__ == "__main__":
    main()
