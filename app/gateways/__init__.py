"""Gateways: one file each behind one port. Values in, values out; no database, no retries, no guessing."""
