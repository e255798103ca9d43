"""Experiments on the project's own code: longer than a test, and not part of the product."""
