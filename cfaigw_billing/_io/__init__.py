"""Does what `_core` decides: sends, waits, runs event loops. Imports `_core` and below."""
