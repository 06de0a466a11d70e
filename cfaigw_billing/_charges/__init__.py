"""Charges with a journal: each key is sent once; an unknown outcome is looked up, never resent."""
