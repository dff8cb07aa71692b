"""Where things are kept for later runs: one answer for whoever needs it, whatever else he knows."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Kernels, roots, packages, probes and verdicts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "benchproof"
