"""The whole system in one thread with made-up time: everything happens in the order a seed gives.

The loop, the chores, the rooms, the adapter and the sandbox's rules are the real ones, on a real PostgreSQL. Made up
are time, ids, the wire to the gateways, the customers, the people, and what goes wrong.
"""
