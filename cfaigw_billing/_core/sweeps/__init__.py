"""Sweeps: the same calls for many accounts. What to send, what to keep, and the results.

To add a sweep, write a module with a result (a subclass of `AccountAnswers`) and a function that
returns its `Sweep`. `_async/sweeps.py` runs it.
"""
