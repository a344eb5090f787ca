"""The deployment gate: what is wrong with a diagram, decided from the files alone, before anything is stored."""

from app.engine.lint.finding import Finding, Severity
from app.engine.lint.gate import Examined, beside, examine, lint
from app.engine.lint.known import Known, ProcessFacts, Upload

__all__ = ["Examined", "Finding", "Known", "ProcessFacts", "Severity", "Upload", "beside", "examine", "lint"]
