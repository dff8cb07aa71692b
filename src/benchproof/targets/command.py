"""Any command that runs another: `docker run`, `ssh`, `chroot`, a wrapper of one's own.

`{argv}` stands for all words of the command to run; `{dir}` for the folder that holds the probe and everything
that is put in, which the wrapper must show under the same path. What the wrapper's daemon starts elsewhere is out
of our reach: a time-out ends the wrapper and its descendants.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchproof.errors import NotSupported, UsageError
from benchproof.model import Completed, Facts, Lab
from benchproof.targets.host import FolderInstance, Host, shared_folder, tmpfs_folder
from benchproof.targets.observed import observe, sections
from benchproof.targets.settings import Pinned


class _WrappedInstance(FolderInstance):
    """The command's words stand in the middle of the wrapper's, not behind them."""

    def __init__(self, *, lab: Lab, folder: Path, template: Sequence[str], tmpfs: str, cpus: Sequence[int]) -> None:
        super().__init__(lab=lab, folder=folder, inside=str(folder), tmpfs=tmpfs, cpus=cpus)
        self._template = template

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        words: list[str] = []
        for word in self._template:
            words += argv if word == "{argv}" else [word.replace("{dir}", str(self._folder))]
        return self.run_here(words, stdin=stdin, timeout_s=timeout_s)


class Command:
    """Commands behind a wrapper that the user gives."""

    class Settings(Pinned, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """`command`: the wrapper's words, one of them `{argv}`."""

        command: tuple[str, ...]

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.command.count("{argv}") != 1:
                raise UsageError("command: expected a list of words, exactly one of them '{argv}'")

    def __init__(self, settings: Settings, lab: Lab) -> None:
        self.settings = settings
        self.lab = lab

    def facts(self) -> Facts:
        program = self._program()
        with self.start() as instance:
            observed = observe(instance)
        here = Host(Host.Settings(), self.lab).facts()["machine"]
        same_processor = observed.get("cpu") == here.get("cpu")  # a wrapper may as well emulate or go elsewhere
        return sections(
            observed,
            execution="native" if same_processor else "unknown",
            cpus=self.settings.cpu_numbers,
            kind="command",
            command=" ".join(self.settings.command),
            program_sha256=hashlib.sha256(program.read_bytes()).hexdigest(),
        )

    @contextlib.contextmanager
    def start(self) -> Iterator[FolderInstance]:
        self._program()
        with shared_folder(self.lab) as folder, tmpfs_folder(self.lab) as tmpfs:
            yield _WrappedInstance(
                lab=self.lab,
                folder=folder,
                template=self.settings.command,
                tmpfs=tmpfs,
                cpus=self.settings.cpu_numbers,
            )

    def _program(self) -> Path:
        first = self.settings.command[0]
        found = shutil.which(first)
        if found is None:
            raise NotSupported(
                f"'{first}' is not installed",
                missing=f"install '{first}' or name another command in the plan",
            )
        return Path(found)
