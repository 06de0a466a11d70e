"""How values are shown: tables, plots, progress. Knows no type, and imports nothing of the package."""
