"""Tier 2: what the OS suites (lmbench, UnixBench) ask, and what each is on a system without POSIX."""
