"""How values are shown: tables, plots, progress, missing extras.

Knows no type of the API. Imports nothing of the package.
"""
