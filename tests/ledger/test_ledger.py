import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from app.access.models import Merchant
from app.kit.database import Database
from app.kit.money import Money
from app.ledger.accounts import PAYABLE, Layer, clearing
from app.ledger.models import Account, Entry, Posting
from app.ledger.postings import Book
from app.ledger.service import Fact, Line, Unbalanced, balances, balances_of, post, transfer, verify

EUR = Money(500, "EUR")


@pytest.fixture
def books(database: Database) -> Database:
    with database.begin() as tx:
        tx.session.add(Merchant(id="mer_1", name="One", settings={}, created_at=tx.now()))
    return database


def book_captured(books: Database, attempt: str = "att_1", payment: str = "pay_1") -> None:
    with books.begin() as tx:
        book = Book(tx, "mer_1", payment, "sandbox_a")
        book.authorized(attempt, EUR)
        book.captured(attempt, EUR)


def fact(kind: str = "captured") -> Fact:
    return Fact("mer_1", kind, "attempt", "att_1", "pay_1")


def test_a_capture_moves_the_hold_from_pending_to_posted(books: Database) -> None:
    book_captured(books)
    with books.begin() as tx:
        found = {(b.account, b.layer): b.amount for b in balances(tx, "mer_1")}
        assert verify(tx) == []
    assert found == {
        ("psp:sandbox_a:clearing", "posted"): 500,
        ("psp:sandbox_a:clearing", "pending"): 0,
        ("merchant:payable", "posted"): -500,
        ("merchant:payable", "pending"): 0,
    }


def test_the_same_fact_is_booked_once(books: Database) -> None:
    book_captured(books)
    book_captured(books)
    with books.begin() as tx:
        assert balances_of(tx, ["pay_1"])["pay_1"]["merchant:payable", "posted"] == -500


def test_every_business_fact_balances(books: Database) -> None:
    with books.begin() as tx:
        book = Book(tx, "mer_1", "pay_1", "sandbox_a")
        book.authorized("att_1", EUR)
        book.captured("att_2", Money(300, "EUR"))
        book.released("attempt", "att_2", Money(200, "EUR"))
        for refund in ("ref_1", "ref_2"):
            book.refund_requested(refund, Money(100, "EUR"))
        book.refund_succeeded("ref_1", Money(100, "EUR"))
        book.refund_failed_late("ref_1", Money(100, "EUR"))
        book.refund_dropped("ref_2", Money(100, "EUR"))
        book.dispute_withdrawn("dis_1", "chargeback", Money(300, "EUR"))
        book.dispute_fee("dis_1", Money(15, "EUR"), Money(15, "EUR"))
        book.dispute_lost("dis_1", "chargeback", Money(300, "EUR"))
        book.dispute_reopened("dis_1", "arbitration", Money(300, "EUR"))
        book.dispute_won("dis_1", "arbitration", Money(300, "EUR"))
        assert verify(tx) == []
        left = {b.account: b.amount for b in balances(tx, "mer_1") if b.amount}
    assert left == {"psp:sandbox_a:clearing": 285, "merchant:payable": -300, "fees:sandbox_a": 15}


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (Line(PAYABLE, EUR),),
        (Line(PAYABLE, EUR), Line(clearing("a"), Money(-500, "USD"))),
        (Line(PAYABLE, EUR), Line(clearing("a"), -EUR, Layer.PENDING)),
        transfer(PAYABLE, clearing("a"), Money(0, "EUR")),
    ],
    ids=["nothing", "one side", "two currencies", "two layers", "zero"],
)
def test_what_does_not_balance_is_refused(books: Database, lines: tuple[Line, ...]) -> None:
    with books.begin() as tx, pytest.raises(Unbalanced):
        post(tx, fact(), lines)


@given(amounts=st.lists(st.integers(-(10**12), 10**12).filter(bool), min_size=1, max_size=6))
def test_lines_balance_exactly_when_they_sum_to_zero(amounts: list[int]) -> None:
    lines = [Line(PAYABLE, Money(amount, "EUR")) for amount in amounts]
    closed = [*lines, Line(clearing("a"), Money(-sum(amounts), "EUR"))]
    assert sum(line.amount.minor for line in closed) == 0
    assert sum(line.amount.minor for line in transfer(PAYABLE, clearing("a"), Money(amounts[0], "EUR"))) == 0


def test_the_database_itself_refuses_a_posting_that_does_not_balance(books: Database) -> None:
    book_captured(books)
    with books.begin() as tx:
        one_side = {
            "posting_id": tx.session.scalars(select(Posting.id).limit(1)).one(),
            "account_id": tx.session.scalars(select(Account.id).limit(1)).one(),
        }
    with pytest.raises(IntegrityError, match="does not balance"), books.begin() as tx:
        tx.execute(insert(Entry).values(**one_side, amount=1, currency="EUR", layer="posted"))


@pytest.mark.parametrize("statement", [update(Entry).values(amount=1), delete(Entry), delete(Posting)], ids=str)
def test_the_database_itself_refuses_to_change_what_is_booked(books: Database, statement: object) -> None:
    book_captured(books)
    with pytest.raises(IntegrityError, match="append-only"), books.begin() as tx:
        tx.session.execute(statement)  # type: ignore[call-overload]
    with books.begin() as tx:
        assert verify(tx) == []


@pytest.mark.parametrize("table", ["journal", "journal_pages", "audit"])
def test_history_is_guarded_like_the_ledger(books: Database, table: str) -> None:
    with books.begin() as tx:
        guards = tx.session.execute(
            text("SELECT tgname FROM pg_trigger WHERE tgrelid = :table ::regclass AND NOT tgisinternal"),
            {"table": table},
        ).scalars()
        assert list(guards) == [f"{table}_append_only"]


def test_verification_finds_what_was_tampered_with(books: Database) -> None:
    book_captured(books)
    with books.begin() as tx:
        # What somebody with the owner's rights could do.
        tx.execute(text("SET LOCAL session_replication_role = replica"))
        tx.execute(text("UPDATE entries SET amount = amount + 1 WHERE id = (SELECT min(id) FROM entries)"))
    with books.begin() as tx:
        (problem,) = verify(tx)
    assert "is off by 1 EUR" in problem
