import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from oneapi_admin.lib.pagination import page_of, pages_of

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
