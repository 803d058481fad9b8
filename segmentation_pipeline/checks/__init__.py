"""Great Expectations suites per stage, and the adapter from their results to asset checks."""
