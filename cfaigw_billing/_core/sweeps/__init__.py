"""The same calls about many accounts: what to send, what to keep, and the results.

A new sweep is a module with a result, which extends `AccountAnswers`, and a function that returns
the `Sweep` which leads to it. `_async/sweeps.py` runs it.
"""
