"""DMN decisions: tables, literal expressions, boxed contexts and business knowledge models on top of FEEL."""

from app.decisions.errors import DecisionFailed, DmnError, Finding
from app.decisions.model import Decision, DecisionModel, Evaluation, MatchedRule
from app.decisions.read import parse_decisions

__all__ = [
    "Decision",
    "DecisionFailed",
    "DecisionModel",
    "DmnError",
    "Evaluation",
    "Finding",
    "MatchedRule",
    "parse_decisions",
]
