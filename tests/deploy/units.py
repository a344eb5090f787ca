"""The unit files as systemd would read them, as far as we use them."""

import shlex
import subprocess
import sys
from pathlib import Path

from app.settings import ROOT, Settings

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"


def directives(unit: Path, section: str = "Service") -> dict[str, list[str]]:
    """Every value of each directive of one section, in order."""
    found: dict[str, list[str]] = {}
    inside = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            inside = line.strip("[]")
        elif "=" in line and not line.startswith("#") and inside == section:
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def command(unit: str, instance: str = "") -> list[str]:
    """What the unit starts, with this environment's Python in place of the installed one."""
    (line,) = directives(UNITS / unit)["ExecStart"]
    return shlex.split(line.replace("%i", instance).replace("/opt/sluice/.venv/bin/python", sys.executable))


def setting_names() -> set[str]:
    """What the settings listen to in the environment."""
    return {
        str(field.validation_alias) if field.validation_alias else f"SLUICE_{name.upper()}"
        for name, field in Settings.model_fields.items()
    }


def example(gateways: str = "") -> dict[str, str]:
    """The example of the environment file as a shell reads it, with `gateways` filled in between the quotes."""
    text = (DEPLOY / "sluice.env.example").read_text()
    if gateways:
        text = text.replace("SLUICE_GATEWAYS='[]'", f"SLUICE_GATEWAYS='{gateways}'")
    script = f"set -ea\n{text}\nexec /usr/bin/env -0"
    told = subprocess.run(["/bin/sh", "-c", script], env={}, check=True, capture_output=True, text=True).stdout
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    pairs = dict(line.split("=", 1) for line in told.split("\0") if line)
    return {name: value for name, value in pairs.items() if name not in of_the_shell}
