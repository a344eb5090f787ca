"""Payments and their attempts: state graphs, guarded amounts, and every call to a gateway written ahead."""
