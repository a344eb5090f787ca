"""The double-entry ledger: append-only postings whose entries sum to zero per currency."""
