"""Tier 0: does the system do at all what the benchmarks time? No number of a target is kept when one of these fails."""
