"""Measurements of the package beside what people would use instead: `python -m benchmarks`."""
