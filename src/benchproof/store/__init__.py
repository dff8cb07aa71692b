"""Runs on disk. `bundle` is the truth: append-only files that anyone can verify."""
