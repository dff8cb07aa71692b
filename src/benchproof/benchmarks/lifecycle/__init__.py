"""Tier 2: what it costs to start, use, freeze, clone and end a whole system."""
