"""Finding, choosing and applying clusters of customers."""
