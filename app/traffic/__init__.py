"""A day of shopping, sent through the HTTP API as customers, a merchant's system and its people would."""
