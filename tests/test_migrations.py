"""Every migration says whether the former version may run meanwhile, and one that takes away may not say yes."""

import ast
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.kit.database import Database
from app.models import metadata
from app.settings import ROOT

VERSIONS = sorted((ROOT / "migrations" / "versions").glob("[0-9]*.py"))
SAFE = re.compile(r"^Safe while the former version runs: (yes|no), (?P<why>.{10,})", re.MULTILINE)
TAKES_AWAY = {"drop_table", "drop_column", "drop_constraint", "rename_table", "alter_column"}
IN_SQL = re.compile(
    r"\b(DROP\s+(TABLE|COLUMN|CONSTRAINT)|RENAME|SET\s+NOT\s+NULL|ALTER\s+COLUMN\s+\w+\s+TYPE)\b", re.IGNORECASE
)


def takes_away(source: str) -> list[str]:
    """What `upgrade` drops, renames or tightens."""
    (upgrade,) = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    ]
    found = []
    for node in ast.walk(upgrade):
        if isinstance(node, ast.Attribute) and node.attr in TAKES_AWAY:
            found.append(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and IN_SQL.search(node.value):
            found.append(node.value.strip())
    return found


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_says_whether_the_former_version_may_run(path: Path) -> None:
    source = path.read_text()
    said = SAFE.search(ast.get_docstring(ast.parse(source)) or "")
    assert said, "add `Safe while the former version runs: yes or no, and why` to its docstring"
    if said[1] == "yes":
        assert takes_away(source) == [], "expand first; contract one version later, in a migration that says no"


@pytest.mark.parametrize(
    "body",
    ['op.drop_column("payments", "risk")', 'op.execute("ALTER TABLE payments ALTER COLUMN risk SET NOT NULL")'],
)
def test_taking_away_is_recognised(body: str) -> None:
    assert takes_away(f"def upgrade():\n    {body}\n")
    assert not takes_away(f"def upgrade():\n    op.add_column('payments', 'x')\n\ndef downgrade():\n    {body}\n")


def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
