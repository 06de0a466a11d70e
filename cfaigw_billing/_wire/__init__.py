"""HTTP messages, strict JSON and secrets.

Knows nothing of billing. Imports nothing of the package.
"""
