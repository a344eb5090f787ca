"""A payment gateway to develop and test against: a foreign company with its own server, books and clock."""
