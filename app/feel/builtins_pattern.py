"""Standard functions with regular expressions. A pattern that is not valid gives null."""

from collections.abc import Iterator

from app.feel.regex import Groups, Pattern, compile_pattern, template
from app.feel.registry import function
from app.feel.scope import Run


@function("matches", "input: string", "pattern: string", "flags?: string?")
def matches(run: Run, text: str, pattern: str, flags: str | None = None) -> bool | None:
    """Whether the pattern is found anywhere in the text."""
    compiled = compile_pattern(pattern, flags or "", run.charge)
    return None if compiled is None else compiled.search(text, 0, run.charge) is not None


@function("replace", "input: string", "pattern: string", "replacement: string", "flags?: string?")
def replace(run: Run, text: str, pattern: str, replacement: str, flags: str | None = None) -> str | None:
    compiled = compile_pattern(pattern, flags or "", run.charge)
    if compiled is None or compiled.search("", 0, run.charge) is not None:
        return None
    parts = [replacement] if "q" in (flags or "") else template(replacement, compiled.groups)
    if parts is None:
        return None
    pieces: list[str] = []
    size, end = 0, 0
    for found in _matches(run, compiled, text):
        filled = "".join(part if isinstance(part, str) else _group(text, found, part) for part in parts)
        pieces += [text[end : found[0]], filled]
        size += len(filled)
        if size > run.limits.text:
            raise run.exceeded(f"A text grew beyond {run.limits.text} characters.")
        end = found[1] or 0
    return "".join([*pieces, text[end:]])


@function("split", "string: string", "delimiter: string")
def split(run: Run, text: str, delimiter: str) -> list[str] | None:
    compiled = compile_pattern(delimiter, "", run.charge)
    if compiled is None or compiled.search("", 0, run.charge) is not None:
        return None
    pieces: list[str] = []
    end = 0
    for found in _matches(run, compiled, text):
        pieces.append(text[end : found[0]])
        run.list_of(pieces)
        end = found[1] or 0
    return [*pieces, text[end:]]


def _matches(run: Run, pattern: Pattern, text: str) -> Iterator[Groups]:
    """All matches from left to right, for a pattern that never matches nothing."""
    at = 0
    while (found := pattern.search(text, at, run.charge)) is not None:
        yield found
        run.charge(1)
        at = max(found[1] or 0, at + 1)


def _group(text: str, found: Groups, number: int) -> str:
    start, end = found[2 * number : 2 * number + 2] if 2 * number < len(found) else (None, None)
    return "" if start is None or end is None else text[start:end]
