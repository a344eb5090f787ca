"""ISO 8601 as diagrams use it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.elements import DiagramError
from app.engine.expressions import EvaluationFailed
from app.engine.timing import parse_cycle, parse_date, parse_due, parse_duration
from tests.engine.diagrams import catch, chain, draw, end, start, timer
from tests.engine.drive import Drive

START = datetime(2024, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("PT30S", START + timedelta(seconds=30)),
        ("PT0.5S", START + timedelta(microseconds=500_000)),
        ("P1DT12H", START + timedelta(hours=36)),
        ("P2W", START + timedelta(days=14)),
        ("P1M", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("P1Y1M", datetime(2025, 2, 28, 12, tzinfo=UTC)),
        ("-P2M", datetime(2023, 11, 30, 12, tzinfo=UTC)),
        ("-PT5M", START - timedelta(minutes=5)),
        ("PT0S", START),
    ],
)
def test_a_duration_is_added_by_the_calendar(text: str, moment: datetime) -> None:
    assert parse_duration(text).after(START) == moment


@pytest.mark.parametrize("text", ["", "P", "PT", "30S", "PT30", "P1H", "PT1.5H", "p1d", "R3/PT1S", " PT1S", "P٣D"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(EvaluationFailed, match="not a duration"):
        parse_duration(text)


def test_a_duration_past_the_end_of_time_is_refused() -> None:
    for text in ("P9999Y", "P9999999D"):
        with pytest.raises(EvaluationFailed, match="9999"):
            parse_duration(text).after(START)


@given(st.integers(0, 10**7), st.integers(0, 999_999))
def test_seconds_are_exact(seconds: int, micros: int) -> None:
    assert parse_duration(f"PT{seconds}.{micros:06}S").after(START) == START + timedelta(
        seconds=seconds, microseconds=micros
    )


def test_a_date_needs_an_offset() -> None:
    assert parse_date("2030-01-31T09:00:00+09:00") == datetime(2030, 1, 31, tzinfo=UTC)
    for text in ("2030-01-31T09:00:00", "2030-01-31"):
        with pytest.raises(EvaluationFailed, match="no offset"):
            parse_date(text)
    with pytest.raises(EvaluationFailed, match="not a date"):
        parse_date("soon")


@pytest.mark.parametrize(("text", "count"), [("R3/PT1M", 3), ("R/PT1M", None)])
def test_a_cycle_has_a_count_and_an_interval(text: str, count: int | None) -> None:
    cycle = parse_cycle(text)
    assert (cycle.count, cycle.interval.rest) == (count, timedelta(minutes=1))


def test_a_cycle_may_begin_at_a_date() -> None:
    cycle = parse_cycle("R3/2030-01-31T09:00:00+01:00/P1D")
    assert (cycle.count, cycle.interval.rest, cycle.begins) == (
        3,
        timedelta(days=1),
        datetime(2030, 1, 31, 8, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "text",
    ["R/PT0S", "R/-PT1M", "R/PT0.000001S", "PT1M", "R", "R3/", "R/soon/P1D", "R//P1D"],
)
def test_a_cycle_that_would_fire_without_end_is_refused(text: str) -> None:
    with pytest.raises(EvaluationFailed):
        parse_cycle(text)


@pytest.mark.parametrize(
    "text",
    [
        "R/2030-01-31T09:00:00/P1D",
        "R/2030-01-31/P1D",
        "R/P1D/2030-01-31T09:00:00Z",
        "R/2030-01-31T09:00:00Z/PT0S",
        "R0/2030-01-31T09:00:00Z/P1D",
        "R/2030-01-31T09:00:00Z/P1D/P1D",
    ],
)
def test_a_cycle_whose_date_is_no_moment_or_stands_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(EvaluationFailed):
        parse_cycle(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_date_that_has_no_moment_in_utc_is_refused_in_a_diagram_and_where_it_is_calculated(text: str) -> None:
    with pytest.raises(EvaluationFailed, match="years 1 to 9999"):
        parse_due(text, START)

    def waiting(moment: str) -> bytes:
        return draw(start(), catch("c", timer("timeDate", moment)), end(), chain("s", "c", "e"))

    with pytest.raises(DiagramError, match="years 1 to 9999"):
        Drive(waiting(text))
    assert "years 1 to 9999" in Drive(waiting(f'="{text}"')).step.incidents[0].message


def test_a_due_time_is_a_moment_or_a_distance() -> None:
    assert parse_due("P1D", START) == START + timedelta(days=1)
    assert parse_due("2030-01-31T09:00:00Z", START) == datetime(2030, 1, 31, 9, tzinfo=UTC)
