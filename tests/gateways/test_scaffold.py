import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import app.cli
from app.gateways.registry import GatewaySetting, build_registry
from app.gateways.scaffold import BadGatewayName, GatewayExists, write

ROOT = Path(__file__).parents[2]
# Lets Python find the new adapter among the others although it lies elsewhere.
RUN = "import sys, pytest, app.gateways; app.gateways.__path__.append(sys.argv[1]); sys.exit(pytest.main(sys.argv[2:]))"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("app", "tests"):
        (tmp_path / folder / "gateways").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", ["wx", "a" * 30, "bank_of_the_far_north_and_south"[:30]])
def test_the_written_files_keep_the_house_rules(checkout: Path, name: str) -> None:
    paths = [str(path) for path in write(name, checkout)]
    # These folders are packages in the checkout.
    for check in (["check", "--ignore", "INP001"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_owed_test_is_there_and_fails_with_a_sentence(checkout: Path) -> None:
    adapter, tests = write("acme_pay", checkout)
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-q", "-rA"]
    command = [sys.executable, "-c", RUN, str(adapter.parent), str(tests), *options]
    wide = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, cwd=ROOT, env=wide, capture_output=True, text=True, check=False)
    report = [line for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR", "SKIPPED"))]
    assert len(report) > 100, done.stdout[-3000:] + done.stderr[-1000:]
    assert not [line for line in report if line.startswith(("PASSED", "SKIPPED"))]
    silent = [line for line in report if "Failed: " not in line]
    assert silent == []


def test_the_new_adapter_can_be_configured_and_sends_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, _ = write("acme_new", checkout)
    monkeypatch.setattr("app.gateways.__path__", [*sys.modules["app.gateways"].__path__, str(adapter.parent)])
    options = {"base_url": "http://127.0.0.1:9", "api_key": "sk_1"}
    registry = build_registry([GatewaySetting("acme_a", "acme_new", options)])
    assert registry.get("acme_a").title == "Acme New"
    registry.close()


@pytest.mark.parametrize("name", ["", "a", "Acme", "acme-pay", "../acme", "1acme", "a" * 31])
def test_a_name_is_a_plain_word(checkout: Path, name: str) -> None:
    with pytest.raises(BadGatewayName):
        write(name, checkout)


@pytest.mark.parametrize("existing", ["app/gateways/acme.py", "tests/gateways/test_acme.py"])
def test_nothing_is_overwritten(checkout: Path, existing: str) -> None:
    (checkout / existing).write_text("mine")
    with pytest.raises(GatewayExists):
        write("acme", checkout)
    assert [path.read_text() for path in checkout.rglob("*.py")] == ["mine"]


def test_the_command_says_what_it_wrote(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.ROOT", checkout)
    done = CliRunner().invoke(app.cli.cli, ["new-gateway", "acme"])
    assert done.exit_code == 0
    assert "app/gateways/acme.py" in done.output
    assert "tests/gateways/test_acme.py" in done.output
