"""Ways to break a file that somebody uploads: its bytes, its XML, its expressions."""

import random
from collections.abc import Callable

from lxml import etree

from tests.feel.misspelling import misspelled

NOISE = (
    b"<", b">", b"&", b"\x00", b"\xff", b"]]>", b"<!DOCTYPE a>", b"<?x y?>", b"<!--", b'"', b"=", b"((((", b"&#0;",
    b"\xef\xbb\xbf", b"&#x10FFFF;", b"&amp;", b"id=", b"xmlns=", b"true", b"PT", b"999999999999999999999",
    b"=1/0", b"-1", b"R/P", "\u202e".encode(), "💶".encode(), b"[" * 300, b"{", b"}", b"null", b"\\u", b"1e999999",
)  # fmt: skip
TEXTS = (
    "", "=", "=(", "={}", "=[", "=1..2", "=" + "(" * 5000, "=" + "a." * 3000, "=" + "1+" * 4000 + "1", "=x[y[z[1]]]",
    '="' + "a" * 9000 + '"', "=for i in 1..99999999999 return i", "=9**9**9**9", "\x7f", "P" * 500, "R" * 500,
    "a" * 9000, "=-" * 900, "P9999999999D", "R9999999/PT0S", "-", " ", "0", "true", "None", "start", "flow",
    "a", "g", "reserve",
    "2030-13-99T99:99:99Z", "P9999Y", '=@"P9999999999Y"', "=if", "=not", "=/* ", '="\\u"', "#", "ns:a", "{a}b",
    "=function(x) x(x)", "={a: function() a()}.a()", "not(", "[1..", ">", "> 1, < 2,", "1e9999", "=1e-9999999",
    "=string join(for i in 1..5000 return string(i))", '=matches("a", "(a*)*b")', "=some x in x satisfies x",
    "COLLECT", "RULE ORDER", "feel", "number", "list<list<Any>>", "function<a>->b", "=date(99999,1,1)", "=x.y.z",
    "\u0661",
)  # fmt: skip
Mutation = Callable[[random.Random, bytes], bytes]


def flipped(chance: random.Random, content: bytes) -> bytes:
    """Some bytes changed, dropped or replaced by pieces that mean something to a parser."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        length = chance.choice((0, 1, 1, 2, 20))
        changed[place : place + length] = chance.choice((chance.choice(NOISE), bytes([chance.randrange(256)])))
    return bytes(changed)


def spliced(chance: random.Random, content: bytes) -> bytes:
    """A piece cut out, repeated or moved."""
    one, other = sorted(chance.sample(range(len(content)), 2))
    piece = content[one : min(other, one + 3000)]
    place = chance.randrange(len(content))
    kept = content if chance.random() < 0.5 else content[:one] + content[one + len(piece) :]
    return kept[:place] + piece + kept[place:]


def rewired(chance: random.Random, content: bytes) -> bytes:
    """Well-formed still: attributes exchanged, elements moved, repeated, renamed or taken away."""
    root = etree.fromstring(content)
    elements = [element for element in root.iter("*") if element is not root]
    for _ in range(chance.randint(1, 6)):
        _rewire(chance, elements, root)
    return _written(root)


def retyped(chance: random.Random, content: bytes) -> bytes:
    """One attribute or text exchanged, everything else as it was; the drawing is left alone."""
    root = etree.fromstring(content)
    element = chance.choice([e for e in root.iter("*") if "/DI" not in e.tag and "/DC" not in e.tag])
    name = chance.choice([*element.attrib, ""])
    old = element.get(name) if name else element.text or ""
    place = chance.randrange(len(old) + 1)
    new = chance.choice((_text(chance, element), old[:place] + chance.choice("()[]{}=+-*/.,:\"' 0aP<>") + old[place:]))
    if name:
        element.set(name, new)
    else:
        element.text = new
    return _written(root)


def respelled(chance: random.Random, content: bytes) -> bytes:
    """One expression misspelled, everything else as it was."""
    root = etree.fromstring(content)
    places: list[tuple[etree._Element, str]] = []
    for element in root.iter("*"):
        places += [(element, name) for name, value in element.attrib.items() if value.startswith("=")]
        if element.text and (element.text.lstrip().startswith("=") or etree.QName(element).localname == "text"):
            places.append((element, ""))
    if not places:
        return flipped(chance, content)
    element, name = chance.choice(places)
    changed = misspelled(chance, element.get(name) if name else element.text or "")
    changed = "".join(letter for letter in changed if letter.isprintable() or letter in "\n\t")
    if name:
        element.set(name, changed)
    else:
        element.text = changed
    return _written(root)


def multiplied(chance: random.Random, content: bytes) -> bytes:
    """One element many times over, or inside of itself many times deep."""
    root = etree.fromstring(content)
    element = chance.choice([element for element in root.iter("*") if element is not root])
    piece, times = etree.tostring(element, with_tail=False), chance.choice((2, 10, 70, 300))
    if len(piece) * times > 2_000_000:
        return content
    parent, place = element.getparent(), 0
    for _ in range(times):
        copy = etree.fromstring(piece)
        parent.insert(place, copy)
        parent, place = (parent, place) if times == 300 or chance.random() < 0.5 else (copy, 0)
    return _written(root)


MUTATIONS: tuple[Mutation, ...] = (flipped, spliced, rewired, retyped, respelled, multiplied)
#: What does not need XML.
OF_BYTES: tuple[Mutation, ...] = (flipped, spliced)


def _rewire(chance: random.Random, elements: list[etree._Element], root: etree._Element) -> None:
    element, other = chance.choice(elements), chance.choice(elements)
    move = chance.randrange(6)
    if move == 0 and element.attrib:
        element.set(chance.choice(list(element.attrib)), _text(chance, other))
    elif move == 1 and element.attrib:
        del element.attrib[chance.choice(list(element.attrib))]
    elif move == 2:
        element.text = _text(chance, other)
    elif move == 3 and element.getparent() is not None:
        element.getparent().remove(element)
    elif move == 4:
        element.tag = other.tag
    elif element not in list(other.iterancestors()) and element is not other and element is not root:
        other.append(element)


def _text(chance: random.Random, other: etree._Element) -> str:
    values = [value for value in other.attrib.values() if value]
    text = chance.choice([*TEXTS, *values, *values])
    return "".join(letter for letter in text if letter.isprintable())


def _written(root: etree._Element) -> bytes:
    written: bytes = etree.tostring(root)
    return written
