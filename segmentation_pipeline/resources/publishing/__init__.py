"""Publishing: segments in a shop's own database, and delta files for marketing tools."""
