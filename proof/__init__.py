"""The proof that nothing is lost and nothing is charged twice: runs of any size that look for one broken promise.

It stands beside the product like `bench`: it is no test, for a run may last an hour, and nothing that runs knows it.
Tests use its parts in small.
"""
