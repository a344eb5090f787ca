"""The settlement file of a day: one line per movement of money, and lines that sum to what is paid out."""

import csv
import io
from dataclasses import asdict, fields
from datetime import date

from app.sandbox.books import Books
from app.sandbox.records import Line

COLUMNS = tuple(field.name for field in fields(Line))


def settlement_file(books: Books, day: date) -> str:
    """CSV with a header; amounts in minor units, `net = gross - fee`, money the merchant loses is negative."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in books.every(Line) if line.date == day.isoformat())
    return out.getvalue()
