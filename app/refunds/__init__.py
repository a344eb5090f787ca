"""Refunds: asked for within what remains, approved above a limit by somebody else, honest when they fail late."""
