"""The files in deploy/, as far as they can be checked without a container engine and without systemd."""

import re
from ipaddress import ip_address
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from app.cli import cli
from app.jobs.worker import STOP_SECONDS
from app.settings import ROOT, Settings
from tests.deploy.units import DEPLOY, UNITS, command, directives, example, setting_names

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker")
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "ProtectProc": "invisible",
    "ProtectKernelLogs": "yes",
    "CapabilityBoundingSet": "",
    "User": "sluice",
}


def test_compose_starts_what_is_needed_in_order() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OURS}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("web", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in ("postgres", "redis", "web"):
        assert SERVICES[name]["healthcheck"]["test"]
    for service in SERVICES.values():
        for wanted in service.get("depends_on", {}):
            assert wanted in SERVICES
    assert set(COMPOSE["volumes"]) == {"postgres", "redis", "state"}
    assert SERVICES["postgres"]["image"] == "postgres:18"


def test_containers_wait_for_a_graceful_stop() -> None:
    for name in ("web", "worker"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > STOP_SECONDS


def test_one_service_builds_the_image_of_all() -> None:
    assert [name for name in SERVICES if "build" in SERVICES[name]] == ["migrate"]
    assert {SERVICES[name]["image"] for name in OURS} == {"sluice"}


def test_the_database_is_healthy_only_when_others_can_connect() -> None:
    """On its socket a first start answers before there is a database, and a `migrate` that fails starts nothing."""
    assert "--host=127.0.0.1" in SERVICES["postgres"]["healthcheck"]["test"]


def test_our_containers_may_do_little() -> None:
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert "\nUSER sluice\n" in (DEPLOY / "Dockerfile").read_text()


def test_what_a_worker_exports_can_be_written_and_is_seen_by_every_web() -> None:
    (folder,) = re.findall(r"SLUICE_VAR=(\S+)", (DEPLOY / "Dockerfile").read_text())
    for name in ("web", "worker"):
        assert SERVICES[name]["volumes"] == [f"state:{folder}"], "all else in a container is read-only"
    for unit in ("sluice-web@.service", "sluice-worker@.service"):
        given = directives(UNITS / unit)
        assert f"SLUICE_VAR=/var/lib/{given['StateDirectory'][0]}" in given["Environment"][0].split()


def test_every_worker_answers_for_its_own_numbers() -> None:
    given = SERVICES["worker"]["environment"]
    assert set(given) <= setting_names()
    assert not ip_address(given["SLUICE_HOST"]).is_loopback, "Prometheus is another container"
    assert int(given["SLUICE_WORKER_METRICS_PORT"])
    (told,) = directives(UNITS / "sluice-worker@.service")["Environment"]
    assert "SLUICE_WORKER_METRICS_PORT=%i" in told.split()


def test_no_secret_and_no_sandbox_is_in_the_files() -> None:
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name not in ("README.md", "sluice.env", "postgres.password"):
            text = path.read_text()
            assert "app.sandbox" not in text, path
            assert '"adapter": "sandbox"' not in text, path
    given = example()
    assert given["SLUICE_SECRET_KEY"] == given["SLUICE_MASTER_KEY"] == ""
    assert given["SLUICE_GATEWAYS"] == "[]"
    assert "POSTGRES_PASSWORD" not in SERVICES["postgres"]["environment"]
    assert {"deploy/sluice.env", "deploy/postgres.password"} <= set((ROOT / ".gitignore").read_text().splitlines())
    assert {"deploy/sluice.env", "deploy/postgres.password"} <= set((ROOT / ".dockerignore").read_text().splitlines())


def test_every_name_in_the_environment_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    given = example()
    assert set(given) <= setting_names()
    for unit in UNITS.glob("*.service"):
        told = " ".join(directives(unit)["Environment"]).split()
        assert {pair.partition("=")[0] for pair in told} <= setting_names(), unit
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert Settings().secure_cookies


def test_a_gateway_filled_in_reads_the_same_for_a_shell_and_for_systemd() -> None:
    """Unquoted, the shell of `sluice recover` would see no gateway, and go on."""
    gateways = '[{"name": "acme", "adapter": "stripe", "options": {"api_key": "sk_$1 #"}}]'
    assert example(gateways)["SLUICE_GATEWAYS"] == gateways
    text = (DEPLOY / "sluice.env.example").read_text()
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if line and not line.startswith("#"):
            assert value in (example()[name], f"'{example()[name]}'"), "systemd knows these two ways"


def test_a_mistyped_gateway_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process dies of is in the log of whoever starts it again."""
    monkeypatch.setenv("SLUICE_GATEWAYS", '[{"nam": "acme", "adapter": "stripe", "options": {"api_key": "sk_hidden"}}]')
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "gateways.0.name" in str(refused.value)
    assert "sk_hidden" not in str(refused.value)


def test_compose_and_systemd_start_the_same_commands() -> None:
    for name, unit in (("web", "sluice-web@.service"), ("worker", "sluice-worker@.service")):
        in_unit = [word for word in command(unit, "8000") if word not in ("--bind", "127.0.0.1:8000")][1:]
        in_compose = " ".join(SERVICES[name]["command"]).replace("=", " ").split()
        assert [word for word in in_compose if word not in ("--bind", "0.0.0.0:8000")][1:] == in_unit
    assert command("sluice-migrate.service")[1:] == SERVICES["migrate"]["command"][1:]


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_units_are_hardened_and_wait_for_a_graceful_stop(unit: Any) -> None:
    found = {name: values[-1] for name, values in directives(unit).items()}
    assert HARDENED.items() <= found.items()
    assert found["EnvironmentFile"] == "/etc/sluice/sluice.env"
    if found["Type"] != "oneshot":
        assert int(found["TimeoutStopSec"]) > STOP_SECONDS
        assert found["Restart"] == "always"
        assert directives(unit, "Install")["WantedBy"] == ["sluice.target"]
        around = directives(unit, "Unit")
        assert {"postgresql.service", "redis-server.service"} <= set(around["After"][0].split()), "stopped after ours"
        assert around["StartLimitIntervalSec"] == ["0"], "systemd would give up"


@pytest.mark.parametrize("books", ["ledger", "gateway"])
def test_the_books_are_compared_every_night_and_a_difference_is_a_failure(books: str) -> None:
    (line,) = directives(UNITS / "sluice-verify@.service")["ExecStart"]
    assert not line.startswith("-"), "a dash would forgive a failure"
    asked = command("sluice-verify@.service", books)[-1]
    assert asked in cli.commands
    assert directives(UNITS / "sluice-verify@.timer", "Timer")["Persistent"] == ["yes"]
    assert f"sluice-verify@{books}.timer" in (DEPLOY / "README.md").read_text()


def test_a_night_that_never_ends_is_a_failure() -> None:
    assert directives(UNITS / "sluice-verify@.service")["TimeoutStartSec"] == ["12h"], "a oneshot has no own limit"


def test_the_readme_names_every_file() -> None:
    readme = (DEPLOY / "README.md").read_text()
    names = [path.name for path in DEPLOY.rglob("*") if path.is_file() and path.name != "README.md"]
    assert [name for name in names if name not in readme and not name.endswith((".env", ".password"))] == []
