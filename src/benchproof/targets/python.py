"""The Python interpreter that runs us, with the packages that it has: what a test of pytest is measured in.

Each invocation is a fresh process of it, in the current folder and with the environment of our user, as the tests are
run by hand. No path of this machine goes on record.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from benchproof.model import Completed, Facts
from benchproof.targets.host import FolderInstance, Host

_SETTINGS = ("PYTHONHASHSEED", "PYTHONMALLOC", "PYTHON_GIL", "PYTHON_JIT", "PYTHONNODEBUGRANGES", "PYTHONUTF8")
_LONGEST = 20_000  # characters of the list of packages


class PythonInstance(FolderInstance):
    """Beside what the host can: starts the interpreter."""

    options: tuple[str, ...] = ()

    def python(self, words: Sequence[str], *, timeout_s: float) -> Completed:
        """The interpreter to its end; what it printed is kept with the invocation where that was not well."""
        done = self._supervised(
            [*self._wrap, sys.executable, *words],
            stdin=b"",
            timeout_s=timeout_s,
            cwd=Path.cwd(),
            environment=dict(os.environ),
        )
        if done.exit_status:
            self._lab.log("stdout", done.stdout)
        return done


class Python(Host):
    """This interpreter."""

    class Settings(Host.Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`options`: words for pytest, before the test that it is asked for."""

        options: tuple[str, ...] = ()

    instance: ClassVar[type[FolderInstance]] = PythonInstance
    settings: Settings

    def facts(self) -> Facts:
        found = {name: dict(section) for name, section in super().facts().items()}
        return found | {"system": found["system"] | _of_python() | {"kind": "python"}}

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        with super().start() as instance:
            assert isinstance(instance, PythonInstance)
            instance.options = self.settings.options
            yield instance


def _of_python() -> dict[str, str]:
    """What of the interpreter could change a figure; a module that it loads is in a package or in the commit."""
    flags = ("optimize", "dev_mode", "no_site", "safe_path", "hash_randomization")
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "python_build": f"{' '.join(platform.python_build())}; {platform.python_compiler()}",
        "python_flags": ", ".join(f"{name}={int(getattr(sys.flags, name))}" for name in flags),
        "python_settings": ", ".join(f"{name}={os.environ[name]}" for name in _SETTINGS if os.environ.get(name)),
        "packages": _packages(),
        "python_label": "debug build of Python" if hasattr(sys, "gettotalrefcount") else "",
        "mode_label": "Python in development mode" if sys.flags.dev_mode else "",
    }
    return {name: text for name, text in found.items() if text}


def _packages() -> str:
    named = {each.name: each.version for each in importlib.metadata.distributions() if each.name}
    return ", ".join(f"{name} {version}" for name, version in sorted(named.items()))[:_LONGEST]
