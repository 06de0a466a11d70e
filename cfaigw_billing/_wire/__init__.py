"""HTTP messages, strict JSON and secrets. Knows nothing of billing, and imports nothing of the package."""
