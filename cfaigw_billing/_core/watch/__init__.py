"""Watching accounts: when to look at which, and what there is to tell and to show.

It decides and sends nothing.
"""
