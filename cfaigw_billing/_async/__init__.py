"""The async client, written by hand.

Imports `_io` and what that imports.
"""
