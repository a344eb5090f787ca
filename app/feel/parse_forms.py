"""The forms of FEEL that start with a keyword or a bracket, and types."""

from app.feel.lexer import unescape
from app.feel.reader import Reader
from app.feel.syntax import (
    ContextOf,
    Domain,
    For,
    FunctionOf,
    If,
    ListOf,
    Node,
    Quantified,
    RangeOf,
    Type,
)
from app.feel.types import NAMES as TYPE_NAMES

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
COMPARED = 31
"""Operands of a comparison: everything that binds tighter than one."""
_AFTER_RANGE = frozenset(
    {
        ")", "]", "}", ",", ".", "=", "!=", "<", "<=", ">", ">=", "*", "/", "+",
        "and", "or", "then", "else", "return", "satisfies", "instance", "in",
    }
)  # fmt: skip
_TYPE_WORDS = {name: tuple(name.split()) for name in TYPE_NAMES}


def if_form(reader: Reader) -> Node:
    at = reader.take().at
    condition = reader.expression()
    reader.expect("then", "after the condition of if")
    then = reader.expression()
    reader.expect("else", "after the first branch of if")
    return If(at, condition, then, reader.expression())


def for_form(reader: Reader) -> Node:
    at = reader.take().at
    reader.open_scope()
    domains = _domains(reader)
    reader.expect("return", "after the lists of for")
    reader.introduce("partial")
    body = reader.expression()
    reader.close_scope()
    return For(at, domains, body)


def quantified_form(reader: Reader) -> Node:
    token = reader.take()
    reader.open_scope()
    domains = _domains(reader)
    reader.expect("satisfies", f"after the lists of {token.text}")
    body = reader.expression()
    reader.close_scope()
    return Quantified(token.at, token.text == "every", domains, body)


def _domains(reader: Reader) -> tuple[Domain, ...]:
    found = []
    while True:
        at = reader.token.at
        name = reader.new_name(("in",))
        reader.expect("in", f'after the name "{name}"')
        domain = reader.expression()
        end = reader.expression() if reader.accept("..") else None
        reader.introduce(name)
        found.append(Domain(at, name, domain, end))
        if not reader.accept(","):
            return tuple(found)


def function_form(reader: Reader) -> Node:
    at = reader.take().at
    reader.expect("(", "after function")
    reader.open_scope()
    parameters: list[tuple[str, Type | None]] = []
    while not reader.is_at(")"):
        name = reader.new_name((":", ",", ")"))
        reader.introduce(name)
        parameters.append((name, type_form(reader) if reader.accept(":") else None))
        if not reader.accept(","):
            break
    reader.expect(")", "after the parameters of the function")
    if reader.is_at("external"):
        raise reader.error("External functions are not supported; write the body of the function in FEEL.")
    body = reader.expression()
    reader.close_scope()
    return FunctionOf(at, tuple(parameters), body)


def context_form(reader: Reader) -> Node:
    at = reader.take().at
    reader.open_scope()
    entries: list[tuple[str, Node]] = []
    while not reader.is_at("}"):
        if reader.token.kind == "string":
            key = unescape(reader.take(), reader.text)
        else:
            key = reader.new_name((":", "}", ","))
        reader.expect(":", f'after the key "{key}"')
        recursive = reader.is_at("function")
        if recursive:
            reader.introduce(key)
        entries.append((key, reader.expression()))
        if not recursive:
            reader.introduce(key)
        if not reader.accept(","):
            break
    reader.expect("}", "at the end of the context")
    reader.close_scope()
    return ContextOf(at, tuple(entries))


def list_form(reader: Reader) -> Node:
    """`[` opens a list or a range that includes its start."""
    at = reader.take().at
    if reader.accept("]"):
        return ListOf(at, ())
    items = [reader.expression()]
    if reader.is_at(".."):
        return _range_end(reader, at, items[0], start_included=True)
    while reader.accept(","):
        items.append(reader.expression())
    reader.expect("]", "at the end of the list")
    return ListOf(at, tuple(items))


def open_range_form(reader: Reader) -> Node:
    """`]` opens a range that excludes its start."""
    at = reader.take().at
    start = reader.expression()
    if not reader.is_at(".."):
        raise reader.error(f'Expected ".." between the ends of the range, found {reader.found()}.')
    return _range_end(reader, at, start, start_included=False)


def group_form(reader: Reader) -> Node:
    """`(` opens a group, a range that excludes its start, or a range with one end such as `(< 10)`."""
    at = reader.take().at
    if reader.is_at(*COMPARISONS):
        return _one_sided(reader, at)
    inner = reader.expression()
    if reader.is_at(".."):
        return _range_end(reader, at, inner, start_included=False)
    reader.expect(")", "after the bracketed expression")
    return inner


def _one_sided(reader: Reader, at: int) -> Node:
    operator = reader.take()
    end = reader.expression(COMPARED)
    reader.expect(")", "after the range")
    if operator.text == "!=":
        raise reader.error("A range cannot leave out a single value; write not(...) instead.", operator.at)
    if operator.text == "=":
        return RangeOf(at, end, end, start_included=True, end_included=True)
    if operator.text in ("<", "<="):
        return RangeOf(at, None, end, start_included=False, end_included=operator.text == "<=")
    return RangeOf(at, end, None, start_included=operator.text == ">=", end_included=False)


def _range_end(reader: Reader, at: int, start: Node, *, start_included: bool) -> Node:
    reader.expect("..", "between the ends of the range")
    end = reader.expression(COMPARED)
    if not reader.is_at(")", "]", "["):
        raise reader.error(f'Expected ")", "]" or "[" at the end of the range, found {reader.found()}.')
    closing = reader.take().text
    return RangeOf(at, start, end, start_included, closing == "]")


def closes_range(reader: Reader) -> bool:
    """Whether the `[` at the cursor can only be the end of a range, since no filter follows it."""
    following = reader.tokens[reader.index + 1]
    return following.kind == "end" or (following.kind != "string" and following.text in _AFTER_RANGE)


def type_form(reader: Reader) -> Type:
    reader.depth += 1
    if reader.depth > 50:
        raise reader.error("The type is nested too deeply.")
    at = reader.token.at
    name = _type_name(reader)
    result = None
    arguments: tuple[Type, ...] = ()
    named: tuple[tuple[str, Type], ...] | None = None
    if reader.accept("<"):
        if name == "context":
            named = _fields(reader)
        elif not reader.is_at(">"):
            arguments = _arguments(reader)
        reader.expect(">", f"after the type {name}<...")
    if name == "function" and reader.accept("->"):
        result = type_form(reader)
    if name in ("list", "range") and len(arguments) > 1:
        raise reader.error(f"The type {name} takes one type between < and >.", at)
    reader.depth -= 1
    return Type(name, arguments, named, result)


def _type_name(reader: Reader) -> str:
    words = [token.text for token in reader.tokens[reader.index : reader.index + 5]]
    fitting = [name for name, parts in _TYPE_WORDS.items() if tuple(words[: len(parts)]) == parts]
    if not fitting:
        raise reader.error(f"{reader.found()} is not a type; use number, string, boolean, date, list<...> and so on.")
    name = max(fitting, key=len)
    reader.index += len(_TYPE_WORDS[name])
    return name


def _arguments(reader: Reader) -> tuple[Type, ...]:
    found = [type_form(reader)]
    while reader.accept(","):
        found.append(type_form(reader))
    return tuple(found)


def _fields(reader: Reader) -> tuple[tuple[str, Type], ...]:
    found: list[tuple[str, Type]] = []
    while not reader.is_at(">"):
        key = reader.new_name((":",))
        reader.expect(":", f'after the entry "{key}"')
        found.append((key, type_form(reader)))
        if not reader.accept(","):
            break
    return tuple(found)
