"""Loads every standard function into the registry, which does not know them."""

from importlib import import_module

_FILES = ("context", "convert", "list", "number", "pattern", "range", "text", "time")


def load_standard_functions() -> None:
    for name in _FILES:
        import_module(f"app.feel.builtins_{name}")
