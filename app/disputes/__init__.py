"""Disputes: opened by the gateway, answered once with evidence or accepted, and booked as the funds move."""
