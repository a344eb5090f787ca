"""Cells of files for spreadsheets, which would run a text that begins like a formula."""

from typing import Final

# Where Chinese or Japanese is typed, a spreadsheet takes the wide signs for the narrow ones.
_WIDE: Final = "\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
_FORMULA: Final = (*"=+-@\t\r\n", *_WIDE)


def harmless(text: str) -> str:
    """The text with an apostrophe in front where it begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
