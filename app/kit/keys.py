"""Secrets that an installation makes for itself: kept in one private file, so a second start finds the same."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

import orjson

from app.kit.ids import new_secret


class KeyFile:
    """A JSON file of mode 0600. A value is made when it is first asked for and never changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] = orjson.loads(path.read_bytes()) if path.exists() else {}

    def get(self, name: str, make: Callable[[], str]) -> str:
        if name not in self._values:
            self._values[name] = make()
            write_private(self._path, orjson.dumps(self._values, option=orjson.OPT_INDENT_2))
        return self._values[name]


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` as a whole, readable by its owner alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_bytes(content)
    new.replace(path)


def new_master_key() -> str:
    return f"k1:{base64.b64encode(os.urandom(32)).decode()}"


def new_cookie_key() -> str:
    return new_secret("ck")
