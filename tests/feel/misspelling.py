"""FEEL as people mistype it and as somebody hostile writes it: the words of a sound text changed."""

import random
import re

WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|\w+|\s+|.', re.DOTALL)
#: What may stand where something else was: every keyword and sign, and values at the edge of what there is.
PIECES = (
    "and", "or", "not(", "if", "then", "else", "for", "in", "return", "some", "every", "satisfies", "between",
    "instance of", "function(", "external", "null", "true", "?", "item", "partial", "list<", "range<", ">", "<", "=",
    "!=", "<=", "**", "+", "-", "*", "/", "..", ".", ",", ":", "(", ")", "[", "]", "{", "}", "@", '@"P1D"',
    '@"9999-12-31"', '""', '"', "\\u", "0", "-1", "1e6144", "1e-6176", "9" * 40, ".5", "1..100000", "(1)", "[1,2,3]",
    "{a:1}", "date(", "duration(", "range(", "matches(", "replace(", "split(", "sort(", "string join(", "list replace(",
    "context put(", "get value(", "//", "/*", "*/", "\n", "\t", "\u00a0", "\u2028", "\u0661", "\U0001f40e", "\u0301",
    "__class__", "a b", "a-b", "first and last",
)  # fmt: skip
#: What may be put around a text.
AROUND = (("(", ")"), ("[", "]"), ("{a: ", "}"), ("not(", ")"), ("-", ""), ("1 + ", ""))
_MOST = 12_000


def misspelled(chance: random.Random, text: str) -> str:
    """One to five changes: words dropped, repeated, exchanged, put in, or the whole wrapped and multiplied."""
    words = WORDS.findall(text) or [""]
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(words))
        move = chance.randrange(7)
        if move == 0:
            words[place : place + chance.randint(1, 3)] = [""]
        elif move == 1:
            words[place:place] = words[place : place + chance.randint(1, 8)] * chance.choice((1, 2, 40))
        elif move == 2:
            other = chance.randrange(len(words))
            words[place], words[other] = words[other], words[place]
        elif move in (3, 4):
            words[place : place + move - 3] = [chance.choice(PIECES)]
        elif move == 5:
            before, after = chance.choice(AROUND)
            times = chance.choice((1, 3, 90, 120))
            words = [before * times, *words, after * times]
        else:
            words = [*words, chance.choice((" + ", " and ", " in ", ", ", " < ")), *words]
        words = words[:4000]
    return "".join(words)[:_MOST]
