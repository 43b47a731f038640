from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from oneapi_admin.lib.pagination import Page, page_by_time, page_of, pages_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def numbers() -> list[int]:
    """The primary keys of seven people, newest first."""
    people = [User.objects.create(username=f"reader{number}") for number in range(7)]
    return [person.pk for person in reversed(people)]


def test_pages_follow_each_other_without_gaps_or_repeats(numbers) -> None:
    first = page_of(User.objects.all(), cursor=None, size=3)
    second = page_of(User.objects.all(), cursor=first.next_cursor, size=3)
    third = page_of(User.objects.all(), cursor=second.next_cursor, size=3)

    assert [user.pk for page in (first, second, third) for user in page.items] == numbers
    assert [len(page.items) for page in (first, second, third)] == [3, 3, 1]
    assert third.next_cursor is None


def test_a_full_last_page_has_no_next_one(numbers) -> None:
    page = page_of(User.objects.all(), cursor=None, size=7)

    assert (len(page.items), page.next_cursor) == (7, None)


def test_rows_that_arrive_meanwhile_shift_nothing(numbers) -> None:
    first = page_of(User.objects.all(), cursor=None, size=3)
    User.objects.create(username="latecomer")

    second = page_of(User.objects.all(), cursor=first.next_cursor, size=3)

    assert [user.pk for user in second.items] == numbers[3:6]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 19, "²", "٣", "1; DROP TABLE", "\0"])
def test_a_mangled_cursor_shows_the_first_page(numbers, cursor: str) -> None:
    assert [user.pk for user in page_of(User.objects.all(), cursor=cursor, size=2).items] == numbers[:2]


def test_a_cursor_beyond_all_rows_is_harmless(numbers) -> None:
    everything = page_of(User.objects.all(), cursor="9" * 18, size=9)
    nothing = page_of(User.objects.all(), cursor="0", size=9)

    assert len(everything.items) == 7
    assert (nothing.items, nothing.next_cursor) == ([], None)


def test_a_page_costs_one_query(numbers) -> None:
    with CaptureQueriesContext(connection) as queries:
        page_of(User.objects.all(), cursor=None, size=3)

    assert len(queries) == 1


def test_a_long_list_comes_whole_in_portions(numbers) -> None:
    portions = [[user.pk for user in portion] for portion in pages_of(User.objects.all(), size=3)]

    assert portions == [numbers[:3], numbers[3:6], numbers[6:]]


def test_an_empty_list_is_one_empty_portion() -> None:
    assert list(pages_of(User.objects.none(), size=3)) == [[]]


# --- By time --------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def by_time() -> list[int]:
    """The primary keys of six people, the newest first: their times are in another order than their keys."""
    times = [NOON, NOON + MICROSECOND, NOON, NOON - timedelta(days=400), NOON, NOON + timedelta(days=400)]
    people = [
        User.objects.create(username=f"reader{number}", created_at=time) for number, time in enumerate(times)
    ]
    return [people[number].pk for number in (5, 1, 4, 2, 0, 3)]


def timed_page(cursor: str | None = None, size: int = 50) -> Page:
    return page_by_time(User.objects.all(), field="created_at", cursor=cursor, size=size)


@pytest.mark.parametrize("size", range(1, 8))
def test_pages_by_time_follow_each_other_without_gaps_or_repeats(by_time, size: int) -> None:
    found, cursor = [], None
    for _ in range(-(-len(by_time) // size)):
        page = timed_page(cursor, size)
        found += [user.pk for user in page.items]
        cursor = page.next_cursor

    assert found == by_time
    assert cursor is None


def test_rows_that_arrive_meanwhile_shift_no_page_by_time(by_time) -> None:
    first = timed_page(size=3)
    User.objects.create(username="latecomer", created_at=NOON)
    User.objects.create(username="newcomer", created_at=NOON + timedelta(days=900))

    second = timed_page(first.next_cursor, 3)

    assert [user.pk for user in second.items] == by_time[3:]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "5",
        "-1-5",
        "1-",
        "1-x",
        "1.5-2",
        "1-2-3",
        "9" * 17 + "-1",
        f"1-{'9' * 19}",
        "²-1",
        "٣-1",
        "1-1\n",
    ],
)
def test_a_mangled_cursor_shows_the_first_page_by_time(by_time, cursor: str) -> None:
    assert [user.pk for user in timed_page(cursor, 2).items] == by_time[:2]


def test_a_cursor_by_time_beyond_all_rows_is_harmless(by_time) -> None:
    everything = timed_page(f"{'9' * 16}-{'9' * 18}", 9)
    nothing = timed_page("0-0")

    assert len(everything.items) == 6
    assert (nothing.items, nothing.next_cursor) == ([], None)


def test_a_page_by_time_costs_one_query(by_time) -> None:
    with CaptureQueriesContext(connection) as queries:
        timed_page(size=3)

    assert len(queries) == 1
