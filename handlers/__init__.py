"""Operations: what a service task of a diagram may call. Importing this package declares them all.

To add one, write a function here: its parameters and its result are models with a title and a sentence per field
(they become the modeler's form), its docstring is the palette's help, `errors` lists every BPMN error it throws.
It calls the room that knows the work, and returns its result or an Effect.
"""

from handlers import disputes, payments, refunds, review, risk

__all__ = ["disputes", "payments", "refunds", "review", "risk"]
