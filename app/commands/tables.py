"""Plain tables for a terminal: text to the left, numbers to the right."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """Lines with columns as wide as their widest cell; integers have their thousands apart."""
    cells = [list(head), *([_text(cell) for cell in row] for row in rows)]
    right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    rule = "  ".join("-" * width for width in widths).rstrip()
    return "\n".join([lines[0], rule, *lines[1:]])


def _text(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
