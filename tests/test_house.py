"""House rules that no linter knows. Each failure names the file and what to do."""

import ast
import importlib
import pkgutil
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

import app
from app.errors import AppError
from app.migrate import configuration

ROOT = Path(__file__).parents[1]
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 70


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    return [
        path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in (folders or ("app",))
    ]


def text_files() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path.relative_to(ROOT), path.read_text()
        except UnicodeDecodeError:
            continue


def subclasses(kind: type[AppError]) -> Iterator[type[AppError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_only_the_unit_of_work_commits() -> None:
    allowed = {ROOT / "app" / "kit" / "database.py"}
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files("app", "handlers")
        if path not in allowed
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert offenders == [], "use `with database.begin() as tx:`"


def test_files_stay_short_enough_to_read() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in python_files("app", "handlers", "tests")
        if (lines := len(path.read_text().splitlines())) >= FILE_LINES_MAX
    ]
    assert long == [], "split the file by what its parts are about"


def test_functions_stay_short_enough_to_read() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files("app", "handlers")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == [], "give the steps names of their own"


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    banned = {"skip", "skipif", "xfail", "importorskip", "skipTest", "SkipTest"}
    # The contract that all gateways share leaves out what a gateway says it does not offer.
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files("tests")
        if path != ROOT / "tests" / "gateways" / "contract.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in banned)
        or (isinstance(node, ast.ImportFrom) and any(alias.name in banned for alias in node.names))
    ]
    assert offenders == [], "a test that cannot run here must fail and say what it needs"


def test_error_codes_are_one_per_error() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        importlib.import_module(module.name)
    # The sandbox plays another company's server and has codes of its own.
    own = [kind for kind in subclasses(AppError) if re.match(r"(app\.(?!sandbox\b)|handlers\b)", kind.__module__)]
    # An abstract parent may hand its code down; a class that says `code` itself must be the only one to say it.
    codes = Counter(str(vars(kind)["code"]) for kind in own if "code" in vars(kind))
    assert [code for code, count in codes.items() if count > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z][a-z0-9_]*", code)] == []
    assert [kind.__qualname__ for kind in own if not 400 <= kind.status < 600] == []


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("registry.npm" + "js", "pypi." + "org", "files.python" + "hosted", "npm" + "mirror"), "name packages only"),
        (("--index" + "-url", "--extra-index" + "-url", "--find" + "-links"), "the machine's own settings say where"),
        (("/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "/wo" + "rk/"), "write paths from the checkout's root"),
    ],
)
def test_no_file_knows_a_registry_or_a_machine(words: tuple[str, ...], remedy: str) -> None:
    offenders = [f"{path}: {word}" for path, text in text_files() for word in words if word in text]
    assert offenders == [], remedy


def test_lock_files_pin_every_package_by_its_hash() -> None:
    pins = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.IGNORECASE)
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    for lock in ROOT.glob("**/package-lock.json"):
        if "node_modules" not in lock.parts:
            assert '"resolved"' not in lock.read_text(), (
                f"{lock}: npm's omit-lockfile-registry-resolved was not in force"
            )


def test_what_only_some_machines_need_keeps_its_condition_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    conditional = {re.split(r"[^\w.-]", one)[0] for one in wanted if ";" in one}
    assert conditional
    locked = (ROOT / "requirements.lock").read_text()
    for name in conditional:
        assert re.search(rf"^{re.escape(name)}==\S+ ; ", locked, re.MULTILINE), (
            f"{name} has lost its marker: run `make lock`"
        )


def test_every_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=!;\[ ]", line)[0].lower().replace("_", "-") for line in wanted}
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text().lower(), re.MULTILINE))
    assert names - locked == set(), "run `make lock`"


def test_there_is_one_newest_migration() -> None:
    assert len(ScriptDirectory.from_config(configuration("postgresql://")).get_heads()) == 1
