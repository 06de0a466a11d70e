"""Measurements of the package beside what people would use instead. Run `python -m benchmarks`."""
