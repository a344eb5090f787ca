"""The console: server-rendered pages for reviewers, operators, analysts and administrators."""

from app.console.context import ConsoleContext, ConsoleSettings
from app.console.blueprint import create_console

__all__ = ["ConsoleContext", "ConsoleSettings", "create_console"]
