"""FEEL text to a tree: precedence climbing over tokens, aware of the names in scope.

Binding powers, loosest first: or 10, and 20, comparisons 30 (they do not chain), + - 40, * / 50, ** 60 (from the left),
instance of 65, unary minus 70, then path, filter and call.
"""

from collections.abc import Callable

from app.feel import parse_forms as forms
from app.feel.errors import MAX_DEPTH, FeelError
from app.feel.lexer import unescape
from app.feel.numbers import literal
from app.feel.parse_forms import COMPARED, COMPARISONS
from app.feel.reader import Reader
from app.feel.syntax import (
    Arithmetic,
    Between,
    Call,
    Comparison,
    Filter,
    In,
    InstanceOf,
    Literal,
    Logic,
    Name,
    Negate,
    Node,
    Path,
    RangeOf,
    Test,
    Tests,
    walk,
)
from app.feel.temporal import read_any

_ARITHMETIC = {"+": 40, "-": 40, "*": 50, "/": 50, "**": 60}
_CONSTANTS = {"true": True, "false": False, "null": None}
_FORMS: dict[str, Callable[[Reader], Node]] = {
    "if": forms.if_form,
    "for": forms.for_form,
    "some": forms.quantified_form,
    "every": forms.quantified_form,
    "function": forms.function_form,
    "{": forms.context_form,
    "[": forms.list_form,
    "]": forms.open_range_form,
    "(": forms.group_form,
}


def parse_expression(
    text: str, names: frozenset[str], functions: frozenset[str], entries: frozenset[str] = frozenset()
) -> Node:
    """One expression. `names` and `functions` are what may be written with spaces or signs inside.

    `entries` may after a dot and inside filters; those of plain words may anywhere, as they mean nothing else.
    """
    parser = Parser(text, names, functions, entries)
    node = parser.expression()
    return parser.finished(node)


def parse_tests(
    text: str, names: frozenset[str], functions: frozenset[str], entries: frozenset[str] = frozenset()
) -> Tests:
    """The unary tests of one cell."""
    parser = Parser(text, names, functions, entries)
    tests = parser.cell()
    parser.finished(tests)
    return tests


def split_tests(text: str, names: frozenset[str], entries: frozenset[str]) -> list[str]:
    """The texts of the tests of a cell, cut at the commas between them: the values of an output, in their order.

    Empty for `-`, which is any value.
    """
    parser = Parser(text, names, frozenset(), entries)
    tests = parser.cell()
    parser.finished(tests)
    if tests.negated:
        raise parser.error("Values are listed one after another; not(...) lists none.", 0)
    if not tests.tests:
        return []
    starts = [test.at for test in tests.tests]
    ends = [*starts[1:], len(text)]
    return [text[start:end].rstrip().removesuffix(",").rstrip() for start, end in zip(starts, ends, strict=True)]


class Parser(Reader):
    def finished(self, node: Node) -> Node:
        if self.token.kind != "end":
            raise self.error(self._leftover())
        if any(depth > MAX_DEPTH for _, depth in walk(node)):
            raise self.error(f"The expression is nested more than {MAX_DEPTH} levels deep; split it up.", 0)
        return node

    def _leftover(self) -> str:
        previous = self.tokens[self.index - 1] if self.index else None
        if self.token.kind == "word" and previous and previous.kind == "word":
            return (
                f'"{self.token.text}" cannot follow "{previous.text}": put an operator between them, '
                f"or use a known name (names with spaces must be known here)."
            )
        if self.is_at("=") and previous and previous.text == "=":
            return 'Compare with a single "=".'
        if self.is_at(".."):
            return "A range needs brackets: write [low..high]."
        return f"{self.found()} cannot stand here.".capitalize()

    def expression(self, power: int = 0) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(f"The expression is nested more than {MAX_DEPTH} levels deep; split it up.")
        left = self._operand()
        while True:
            following = self._operator(left, power)
            if following is None:
                break
            left = following
        self.depth -= 1
        return left

    def _operand(self) -> Node:
        token = self.token
        name = self.known_name() if token.kind == "word" else None
        if name is not None:
            return self._postfix(Name(token.at, name))
        if token.kind in ("number", "string", "at"):
            return self._postfix(self._literal())
        if token.kind != "end" and token.text in _CONSTANTS:
            self.take()
            return self._postfix(Literal(token.at, _CONSTANTS[token.text]))
        if self.is_at("-"):
            self.take()
            return Negate(token.at, self.expression(70))
        form = _FORMS.get(token.text) if token.kind != "end" else None
        if form is None:
            raise self.error(f"Expected a value, found {self.found()}.")
        node = form(self)
        return self._postfix(node) if token.text in ("(", "[", "]", "{") else node

    def _literal(self) -> Node:
        token = self.take()
        if token.kind == "number":
            value = literal(token.text)
            if value is None:
                raise self.error("This number is too large.", token.at)
            return Literal(token.at, value)
        content = unescape(token, self.text)
        if token.kind == "string":
            return Literal(token.at, content)
        moment = read_any(content)
        if moment is None:
            raise self.error(
                f'"{content}" is not a date, time, date and time or duration of the years 1 to 9999, '
                'no finer than a microsecond; write for example @"2026-01-31" or @"P3D".',
                token.at,
            )
        return Literal(token.at, moment)

    def _postfix(self, node: Node) -> Node:
        while True:
            at = self.token.at
            if self.accept("."):
                node = Path(at, node, self.property_name())
            elif self.is_at("[") and not forms.closes_range(self):
                node = self._filter(node)
            elif self.is_at("("):
                node = self._call(node)
            else:
                return node

    def _filter(self, base: Node) -> Node:
        at = self.take().at
        self.filters += 1
        test = self.expression()
        self.filters -= 1
        self.expect("]", "after the filter")
        return Filter(at, base, test)

    def _call(self, function: Node) -> Node:
        at = self.take().at
        arguments: list[Node] = []
        names: list[str] = []
        while not self.is_at(")"):
            name = self._argument_name()
            if name is not None:
                names.append(name)
            arguments.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")", "after the arguments")
        if names and len(names) != len(arguments):
            raise self.error("Name all arguments of a call or none of them.", at)
        return Call(function.at, function, tuple(arguments), tuple(names) if names else None)

    def _argument_name(self) -> str | None:
        index = self.index
        while self.tokens[index].kind == "word":
            index += 1
        if index == self.index or self.tokens[index].text != ":":
            return None
        return self._take_until_colon()

    def _take_until_colon(self) -> str:
        name = self.new_name((":",))
        self.take()
        return name

    def _operator(self, left: Node, power: int) -> Node | None:
        """The node that an operator at the cursor makes of `left`; None when none binds tighter than `power`."""
        token = self.token
        if token.kind not in ("sign", "word"):
            return None
        binding = _ARITHMETIC.get(token.text)
        if binding is not None:
            if binding <= power:
                return None
            self.take()
            return Arithmetic(token.at, token.text, left, self.expression(binding))
        if token.text in ("and", "or"):
            return self._logic(left, power)
        if token.text == "instance" and power < 65:
            self.take()
            self.expect("of", "after instance")
            return InstanceOf(token.at, left, forms.type_form(self))
        if power < 30 and (token.text in COMPARISONS or token.text in ("in", "between")):
            return self._comparison(left)
        return None

    def _logic(self, left: Node, power: int) -> Node | None:
        token = self.token
        binding = 10 if token.text == "or" else 20
        if binding <= power:
            return None
        parts = [left]
        while self.is_at(token.text):
            self.take()
            parts.append(self.expression(binding))
        return Logic(token.at, token.text, tuple(parts))

    def _comparison(self, left: Node) -> Node:
        token = self.take()
        if token.text == "between":
            low = self.expression(COMPARED)
            self.expect("and", "between the two bounds")
            node: Node = Between(token.at, left, low, self.expression(COMPARED))
        elif token.text == "in":
            node = In(token.at, left, self._in_tests())
        else:
            node = Comparison(token.at, token.text, left, self.expression(COMPARED))
        if self.is_at(*COMPARISONS, "between"):
            raise self.error(f'Comparisons do not chain: join them with "and" instead of {self.found()}.')
        return node

    def _in_tests(self) -> tuple[Test, ...]:
        if self.is_at(*COMPARISONS):
            return (self._test(),)
        if not self.is_at("("):
            return (Test(self.token.at, "", self.expression(COMPARED)),)
        at = self.take().at
        tests = [self._test()]
        if self.accept(".."):
            end = self.expression(COMPARED)
            if not self.is_at(")", "]", "["):
                raise self.error(f'Expected ")" or "]" at the end of the range, found {self.found()}.')
            closing = self.take().text
            return (
                Test(at, "", RangeOf(at, tests[0].operand, end, start_included=False, end_included=closing == "]")),
            )
        while self.accept(","):
            tests.append(self._test())
        self.expect(")", "after the tests of in")
        return tuple(tests)

    def _test(self) -> Test:
        token = self.token
        if self.is_at(*COMPARISONS):
            self.take()
            return Test(token.at, token.text, self.expression(COMPARED))
        return Test(token.at, "", self.expression())

    def _tests(self) -> tuple[Test, ...]:
        tests = [self._test()]
        while self.accept(","):
            tests.append(self._test())
        return tuple(tests)

    def cell(self) -> Tests:
        if self.is_at("-") and self.tokens[1].kind == "end":
            self.take()
            return Tests(0, (), negated=False)
        if self.is_at("not") and self.follows("("):
            negated = self._negated()
            if negated is not None:
                return negated
        return Tests(0, self._tests(), negated=False)

    def _negated(self) -> Tests | None:
        """`not(...)` around the whole cell negates its tests; as a part of a condition it is the function."""
        self.index = 2
        try:
            tests = self._tests()
            self.expect(")", "after the tests of not")
        except FeelError:
            tests = ()
        if tests and self.token.kind == "end":
            return Tests(0, tests, negated=True)
        self.index, self.depth, self.filters = 0, 0, 0
        del self.scopes[3:]
        return None
