"""FEEL, the expression language of DMN 1.5: parsed once, compiled to closures, bounded, with nothing to escape to."""

from app.feel.convert import to_feel, to_json
from app.feel.errors import DEFAULT, FeelError, Limits, Note, TooLarge
from app.feel.expression import Expression, UnaryTests, compile_expression, compile_unary_tests

__all__ = [
    "DEFAULT",
    "Expression",
    "FeelError",
    "Limits",
    "Note",
    "TooLarge",
    "UnaryTests",
    "compile_expression",
    "compile_unary_tests",
    "to_feel",
    "to_json",
]
