"""SpiffWorkflow's script engine with every door shut: the library evaluates Python, diagrams are FEEL alone."""

from typing import Any, NoReturn

from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
from SpiffWorkflow.bpmn.script_engine.python_environment import BasePythonScriptEngineEnvironment


class PythonRefused(RuntimeError):
    """SpiffWorkflow tried to evaluate something by itself; only FEEL is ever run."""


class ClosedEnvironment(BasePythonScriptEngineEnvironment):
    """Every way to run Python raises."""

    def evaluate(self, expression: str, *_: Any, **__: Any) -> NoReturn:
        raise PythonRefused(expression)

    def execute(self, script: str, *_: Any, **__: Any) -> NoReturn:
        raise PythonRefused(script)

    def call_service(self, *_: Any, **named: Any) -> NoReturn:
        raise PythonRefused(str(named.get("operation_name")))


class ClosedScriptEngine(PythonScriptEngine):
    """What the library evaluates with; it has nothing to evaluate."""

    def __init__(self) -> None:
        super().__init__(ClosedEnvironment())

    def validate(self, expression: str) -> NoReturn:
        raise PythonRefused(expression)

    def evaluate(self, task: Any, expression: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ARG002 - the library's shape
        raise PythonRefused(expression)

    def execute(self, task: Any, script: str, *_: Any, **__: Any) -> NoReturn:  # noqa: ARG002 - the library's shape
        raise PythonRefused(script)

    def call_service(self, task: Any, **named: Any) -> NoReturn:  # noqa: ARG002 - the library's shape
        raise PythonRefused(str(named.get("operation_name")))
