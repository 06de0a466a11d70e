"""Charges with a journal: sent once for each key, and looked for where that is in doubt."""
