"""Does what `_core` decides: sends, waits, keeps connections and event loops.

Imports `_core` and what that imports.
"""
