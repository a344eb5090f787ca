"""The HTTP API: declared routes that validate, describe themselves, and call one function each."""
