"""Sluice: payments, refunds and disputes as BPMN diagrams.

The rooms, highest first; imports run downwards only (kept by import-linter):
cli > bootstrap > api | console > jobs > handlers > payments > engine | gateways | ledger > decisions > feel >
operations > events | access > settings > kit > errors. The sandbox gateway imports kit alone.
"""
