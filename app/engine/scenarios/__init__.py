"""Scenarios: what a flow should do, told beside its diagram, played without a database or a network, and judged."""

from app.engine.scenarios.check import check
from app.engine.scenarios.coverage import Coverage, DiagramCoverage, coverage, covered
from app.engine.scenarios.library import Library, library
from app.engine.scenarios.model import Scenario, Suite
from app.engine.scenarios.play import play
from app.engine.scenarios.reading import Document, InvalidScenarios, read_documents
from app.engine.scenarios.verdict import Verdict, Visited

__all__ = [
    "Coverage",
    "DiagramCoverage",
    "Document",
    "InvalidScenarios",
    "Library",
    "Scenario",
    "Suite",
    "Verdict",
    "Visited",
    "check",
    "coverage",
    "covered",
    "library",
    "play",
    "read_documents",
]
