"""Decides, and sends nothing: requests, answers, repeats, rate limit. Imports `_wire`, `_show`, `types`, `errors`."""
