"""Watching accounts: when to check each, which events to report, which samples to show.

Nothing here is sent.
"""
