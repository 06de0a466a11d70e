"""Watching accounts: when to look at which, and what there is to tell.

It decides and sends nothing.
"""
