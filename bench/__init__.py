"""Proofs that are too long for the test suite, and measurements. Nothing in `app` knows this package."""
