"""Decides and sends nothing: requests, answers, repeats, the rate limit, the pages of a list.

Imports `_wire`, `_show`, `types` and `errors`.
"""
