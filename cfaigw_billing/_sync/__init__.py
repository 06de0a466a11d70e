"""The sync client: generated from `_async`, on an executor that blocks.

Imports `_async` and what that imports.
"""
