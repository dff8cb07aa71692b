"""Options whose text has to be read: each is refused before the tests where it makes no sense."""

from __future__ import annotations

import shlex

import pytest

from benchproof.errors import UsageError
from benchproof.labels import parsed
from benchproof.quantities import Duration


def refuse_unreadable(config: pytest.Config) -> None:
    """Raises pytest.UsageError, naming the option."""
    for option, read in (("budget", Duration.parse), ("options", shlex.split)):
        text = config.getoption(f"benchproof_{option}")
        try:
            read(text or "0")
        except ValueError as error:
            raise pytest.UsageError(f"--benchproof-{option}: {error}, in '{text}'") from error
    try:
        for text in config.getoption("benchproof_label"):
            parsed(text)
    except UsageError as error:
        raise pytest.UsageError(str(error).replace("--label", "--benchproof-label")) from error
