"""Turns ready-made statistics into figures, one self-contained HTML page and previews for the Dagster UI."""
