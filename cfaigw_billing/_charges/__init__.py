"""Charges with a journal: each key is sent once; a charge in doubt is looked up, never resent."""
