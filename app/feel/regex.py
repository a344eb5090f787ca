"""Matching in time linear to text times pattern: all ways through the pattern advance together, none is tried again.

Python's `re` backtracks, so that a pattern an analyst writes could keep a worker busy for years; this cannot.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from app.feel.regex_parse import MAX_PATTERN, PatternParser, Piece, Predicate

_MAX_PROGRAM = 2_000
#: What is charged, measured so that a whole budget is about a second: a character costs as much as four instructions.
_WORK_PER_STEP = 16
_CHARACTER = 4
_GROUPS_PER_WORK = 16
_COMPILING = 4
_COMPILED_PER_STEP = 6

Groups = tuple[int | None, ...]
"""Start and end of the whole match, then of each group; None where a group took no part."""
Charge = Callable[[int], None]


class Instruction(NamedTuple):
    """`operation` is set, split (try `to` before `other`), jump, save (`to` is the slot), match, or an anchor."""

    operation: str
    accepts: Predicate | None = None
    to: int = 0
    other: int = 0


class Pattern:
    """A compiled pattern. `search` needs a `charge` that is told about the work, so that it can stop it.

    `weight` is what an instruction costs more than a plain one: by the largest set, and by the groups to be kept.
    """

    def __init__(self, program: list[Instruction], groups: int, weight: int) -> None:
        self._program = program
        self._weight = weight
        self.groups = groups

    def search(self, text: str, start: int, charge: Charge) -> Groups | None:
        """The leftmost match at or after `start`, by the priorities of the pattern."""
        found: Groups | None = None
        empty: Groups = (None,) * (2 * self.groups + 2)
        threads: list[tuple[int, Groups]] = []
        seen: set[int] = set()
        work = 0
        for at in range(start, len(text) + 1):
            if found is None:
                self._follow(0, at, text, empty, threads, seen)
            if not threads and found is not None:
                break
            work += (len(seen) + _CHARACTER) * self._weight
            if work > 1_000:
                charge(work // _WORK_PER_STEP)
                work = 0
            threads, seen, ended = self._advance(threads, at, text)
            found = ended or found
        charge(work // _WORK_PER_STEP)
        return found

    def _advance(
        self, threads: list[tuple[int, Groups]], at: int, text: str
    ) -> tuple[list[tuple[int, Groups]], set[int], Groups | None]:
        """Feed one character to all threads; a thread that has matched ends those of lower priority."""
        following: list[tuple[int, Groups]] = []
        seen: set[int] = set()
        character = text[at : at + 1]
        for position, groups in threads:
            instruction = self._program[position]
            if instruction.accepts is None:
                return following, seen, groups
            if character and instruction.accepts(character):
                self._follow(position + 1, at + 1, text, groups, following, seen)
        return following, seen, None

    def _follow(
        self, position: int, at: int, text: str, groups: Groups, threads: list[tuple[int, Groups]], seen: set[int]
    ) -> None:
        """Add the threads that are reached without reading a character, most preferred first."""
        waiting = [(position, groups)]
        while waiting:
            position, groups = waiting.pop()
            if position in seen:
                continue
            seen.add(position)
            operation, accepts, to, other = self._program[position]
            if accepts is not None or operation == "match":
                threads.append((position, groups))
            elif operation == "jump":
                waiting.append((to, groups))
            elif operation == "split":
                waiting += [(other, groups), (to, groups)]
            elif operation == "save":
                waiting.append((position + 1, (*groups[:to], at, *groups[to + 1 :])))
            elif _ANCHORS[operation](text, at):
                waiting.append((position + 1, groups))


#: Characters of a pattern that is kept as one of hundreds.
_SMALL = 100

_ANCHORS: dict[str, Callable[[str, int], bool]] = {
    "text^": lambda _text, at: at == 0,
    "text$": lambda text, at: at == len(text),
    "line^": lambda text, at: at == 0 or text[at - 1] == "\n",
    "line$": lambda text, at: at == len(text) or text[at] == "\n",
}


def compile_pattern(pattern: str, flags: str, charge: Charge) -> Pattern | None:
    """The pattern, or None when it is not valid, not supported or too large; kept or not, its making is charged."""
    small = len(pattern) <= _SMALL and "{" not in pattern
    compiled, cost = (_small_pattern if small else _large_pattern)(pattern, flags)
    charge(cost)
    return compiled


def _compile(pattern: str, flags: str) -> tuple[Pattern | None, int]:
    """The pattern and the steps it takes to make it."""
    program = [Instruction("save", to=0)]
    made: Pattern | None = None
    # Longer ones are refused unread.
    read = min(len(pattern), MAX_PATTERN)
    try:
        parser = PatternParser(pattern, flags)
        piece = parser.parse()
        _emit(piece, program)
        program += [Instruction("save", to=1), Instruction("match")]
        made = Pattern(program, parser.groups, _dearest(piece) + parser.groups // _GROUPS_PER_WORK)
    except (ValueError, IndexError):
        made = None
    return made, _COMPILING + (read + len(program)) // _COMPILED_PER_STEP


# A repetition makes a short pattern large: few of those are kept, and of the others many.
_small_pattern, _large_pattern = lru_cache(maxsize=512)(_compile), lru_cache(maxsize=64)(_compile)


def _dearest(piece: Piece) -> int:
    return max([piece.cost, *(_dearest(part) for part in piece.parts)])


def _emit(piece: Piece, program: list[Instruction]) -> None:
    if len(program) > _MAX_PROGRAM:
        raise ValueError(piece.kind)
    if piece.kind == "set":
        program.append(Instruction("set", piece.accepts))
    elif piece.kind == "sequence":
        for part in piece.parts:
            _emit(part, program)
    elif piece.kind == "choice":
        _emit_choice(piece, program)
    elif piece.kind == "repeat":
        _emit_repeat(piece, program)
    elif piece.kind == "group":
        program.append(Instruction("save", to=2 * piece.group))
        _emit(piece.parts[0], program)
        program.append(Instruction("save", to=2 * piece.group + 1))
    else:
        program.append(Instruction(piece.kind + piece.sign))


def _emit_choice(piece: Piece, program: list[Instruction]) -> None:
    exits = []
    for branch in piece.parts[:-1]:
        split = _reserve(program)
        _emit(branch, program)
        exits.append(_reserve(program))
        program[split] = Instruction("split", to=split + 1, other=len(program))
    _emit(piece.parts[-1], program)
    for place in exits:
        program[place] = Instruction("jump", to=len(program))


def _emit_repeat(piece: Piece, program: list[Instruction]) -> None:
    inner = piece.parts[0]
    for _ in range(piece.least):
        before = len(program)
        _emit(inner, program)
        if len(program) == before:
            return
    if piece.most is None:
        split = _reserve(program)
        _emit(inner, program)
        program.append(Instruction("jump", to=split))
        program[split] = _split(split + 1, len(program), greedy=piece.greedy)
        return
    splits = []
    for _ in range(piece.most - piece.least):
        splits.append(_reserve(program))
        _emit(inner, program)
    for split in splits:
        program[split] = _split(split + 1, len(program), greedy=piece.greedy)


def _reserve(program: list[Instruction]) -> int:
    program.append(Instruction("jump"))
    return len(program) - 1


def _split(into: int, past: int, *, greedy: bool) -> Instruction:
    return Instruction("split", to=into, other=past) if greedy else Instruction("split", to=past, other=into)


def template(replacement: str, groups: int) -> list[str | int] | None:
    r"""A replacement as texts and group numbers: `$1` is a group, `\$` and `\\` are signs. None when malformed."""
    parts: list[str | int] = []
    at = 0
    while at < len(replacement):
        character, following = replacement[at], replacement[at + 1 : at + 2]
        if character == "\\":
            if following not in ("\\", "$") or not following:
                return None
            parts.append(following)
            at += 2
        elif character == "$":
            number, at = _group_number(replacement, at + 1, groups)
            if number is None:
                return None
            parts.append(number)
        else:
            parts.append(character)
            at += 1
    return parts


def _group_number(text: str, at: int, groups: int) -> tuple[int | None, int]:
    """The digits behind `$`: as many as still name a group, at least one."""
    end = at
    while end < len(text) and text[end] in "0123456789" and (end == at or int(text[at : end + 1]) <= groups):
        end += 1
    return (int(text[at:end]) if end > at else None), end
