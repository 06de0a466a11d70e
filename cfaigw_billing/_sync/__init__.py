"""The sync client: generated from `_async`, on a blocking executor. Imports `_async` and below."""
