"""Tier 1: what one operation of a system costs."""
