"""Show values: tables, plots, progress, missing extras.

It knows no types of the API, and imports nothing else from the package.
"""
