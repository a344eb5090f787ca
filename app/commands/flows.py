"""`sluice lint`, `deploy`, `scenarios` and `templates`: what an analyst's files go through, from the command line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import select

from app.access.actor import host_user
from app.access.models import Merchant
from app.commands.running import wired
from app.engine import definitions, shipped, templates
from app.engine.lint import Finding, Known, Severity, Upload, beside, lint
from app.engine.lint.fix import corrected
from app.engine.scenarios import coverage
from app.kit.database import Tx
from app.operations import registry
from app.settings import ROOT, Settings

FLOWS = ROOT / "workflows"
_ROUNDS = 5
FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))


@click.command("lint")
@FILES
@click.option("--merchant", help="check against what this merchant has published, as deploying does")
@click.option("--fix", is_flag=True, help="correct in the files what can be corrected safely, then check again")
def lint_files(files: tuple[Path, ...], merchant: str | None, fix: bool) -> None:
    """Check diagrams, decision tables and forms as the deployment gate does; folders are searched.

    Without a merchant no database is asked: they may refer to each other and to the flows that come with Sluice.
    """
    known = _published(merchant) if merchant else beside(shipped.uploads(FLOWS), Known(registry))
    if fix:
        _correct(files, known)
    findings = lint(_by_path(files), known)
    _print(findings)
    sys.exit(any(finding.severity is Severity.ERROR for finding in findings))


@click.command()
@FILES
@click.option("--merchant", required=True, help="whose definitions they become")
@click.option("--publish", is_flag=True, help="let new instances take them at once")
def deploy(files: tuple[Path, ...], merchant: str, publish: bool) -> None:
    """Deploy diagrams, decision tables and forms as one unit, in the name of the host's user who runs this."""
    with _database_of(merchant) as tx:
        for one in definitions.deploy(tx, host_user(merchant), _uploads(files), publish=publish):
            click.echo(f"{one.kind:<5} {one.key:<30} version {one.version:<4} {one.status:<9} {one.id}")


@click.command("templates")
@click.option("--check", is_flag=True, help="only tell which are stale; exit with 1 when some are")
@click.argument("folder", default=FLOWS / "element-templates", type=click.Path(path_type=Path))
def write_templates(folder: Path, check: bool) -> None:
    """Write the modeler's element templates from the operations."""
    changed = templates.stale(folder) if check else templates.write(folder)
    for name in changed:
        click.echo(name)
    click.echo(f"{len(changed)} {'are stale' if check else 'written'}, {len(list(registry))} operations")
    sys.exit(check and bool(changed))


@click.command()
@click.argument("folder", default=FLOWS, type=click.Path(exists=True, file_okay=False, path_type=Path))
def scenarios(folder: Path) -> None:
    """Play every scenario file below FOLDER; print what came out differently and which sequence flows nothing visits.

    Exits with 1 when a scenario failed or a sequence flow was not visited.
    """
    found = coverage(folder, registry)
    for verdict in found.failed:
        click.echo(f"{verdict}\n")
    click.echo(found.table())
    sys.exit(bool(found.failed) or not found.complete)


@contextmanager
def _database_of(merchant: str) -> Iterator[Tx]:
    with wired(Settings()) as sluice, sluice.database.begin() as tx:
        if tx.session.get(Merchant, merchant) is None:
            known = ", ".join(tx.session.scalars(select(Merchant.id).order_by(Merchant.id)))
            raise click.UsageError(f"There is no merchant {merchant}; known are: {known}")
        yield tx


def _published(merchant: str) -> Known:
    with _database_of(merchant) as tx:
        return definitions.known(tx, merchant)


def _correct(files: tuple[Path, ...], known: Known) -> None:
    """Correct every file; one correction may uncover the next, so look again as long as something changed."""
    for _ in range(_ROUNDS):
        told = lint(_by_path(files), known)
        changed = False
        for name in sorted({finding.file for finding in told if finding.fix is not None}):
            path = Path(name)
            content, applied = corrected(path.read_bytes(), [finding for finding in told if finding.file == name])
            for finding in applied:
                assert finding.fix is not None
                click.echo(f"FIXED    {finding.code:<28} {name} {finding.element}: {finding.fix.done}")
            if applied:
                path.write_bytes(content)
                changed = True
        if not changed:
            return


def _uploads(files: tuple[Path, ...]) -> list[Upload]:
    return [Upload(path.name, path.read_bytes()) for path in _found(files)]


def _by_path(files: tuple[Path, ...]) -> list[Upload]:
    """The same under their whole paths: two folders may each have a file of that name."""
    return [Upload(str(path), path.read_bytes()) for path in _found(files)]


def _found(files: tuple[Path, ...]) -> list[Path]:
    return [path for place in files for path in (shipped.files(place) if place.is_dir() else [place])]


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        place = f"{finding.file}:{finding.line}" if finding.line else finding.file
        click.echo(f"{finding.severity.upper():<8} {finding.code:<28} {place} {finding.element}: {finding.message}")
        click.echo(f"{'':<8} {finding.remedy}{' (--fix can do it)' if finding.fix is not None else ''}")
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    click.echo(f"{errors} errors, {len(findings) - errors} warnings")
