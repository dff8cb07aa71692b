"""The probe: a small static C program that runs inside every target. How to build it and how to read it."""

from benchproof.probe.build import Probe, build, build_with_tls
from benchproof.probe.reading import Reading, read

__all__ = ["Probe", "Reading", "build", "build_with_tls", "read"]
