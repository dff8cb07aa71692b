"""Tier 3: does more CPU help?"""
