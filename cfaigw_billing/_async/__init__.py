"""The async client and all that it offers, written by hand. Imports `_io` and below."""
