"""Connections to PostgreSQL that are cut at a commit: nobody knows whether it happened, and all adds up."""

from collections.abc import Iterator

import pytest

from billing.models import Hold, UsageRecord
from tests.factories import account_of, make_token, make_user
from tests.faults.books import broken
from tests.faults.callers import Load, chat
from tests.support.pg_proxy import Cut, PostgresProxy
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

CHARGING, ADMITTING = 'INSERT INTO "billing_usagerecord"', 'INSERT INTO "billing_hold"'
TRIES = 3
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(proxied_url: str) -> Iterator[WebProcess]:
    with web_processes(1, DATABASE_URL=proxied_url) as [server]:
        yield server


@pytest.mark.parametrize(
    ("moment", "times"), [(Cut.AFTER_COMMIT, 1), (Cut.BEFORE_COMMIT, 1), (Cut.BEFORE_COMMIT, TRIES)]
)
def test_a_charge_whose_commit_is_cut_is_made_once(
    channel, web, proxy: PostgresProxy, moment: Cut, times: int
) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)
    proxy.cut(moment, writing=CHARGING, times=times)

    answer = chat(web.port, made.key, tokens=10)
    wait_until(lambda: not Hold.objects.exists())

    assert proxy.cuts_left == 0
    assert (answer.status, answer.is_whole) == (200, True)
    record = UsageRecord.objects.get()
    assert record.request_id == answer.request_id
    assert record.completion_tokens == 10
    account = account_of(user)
    assert (account.balance, account.held) == (5_000 - record.quota, 0)
    assert broken() == []


@pytest.mark.parametrize("moment", Cut)
def test_an_admission_whose_commit_is_cut_is_made_once(
    channel, web, proxy: PostgresProxy, moment: Cut
) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)
    proxy.cut(moment, writing=ADMITTING)

    answer = chat(web.port, made.key, tokens=10)

    assert proxy.cuts_left == 0
    assert answer.status == 200
    assert answer.charged == 5_000 - account_of(user).balance == UsageRecord.objects.get().quota
    assert account_of(user).held == 0
    assert broken() == []


@pytest.mark.parametrize("moment", Cut)
def test_what_a_refused_call_got_in_a_commit_that_was_lost_is_given_back_at_once(
    channel, web, proxy: PostgresProxy, moment: Cut
) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)
    proxy.cut(moment, writing=ADMITTING, times=TRIES)

    answer = chat(web.port, made.key, tokens=10)

    assert proxy.cuts_left == 0
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    wait_until(lambda: account_of(user).held == 0, seconds=3)
    assert account_of(user).balance == 5_000
    assert not Hold.objects.exists()
    assert not UsageRecord.objects.exists()
    assert broken() == []


def test_calls_that_share_a_cut_commit_are_each_charged_once(channel, web, proxy: PostgresProxy) -> None:
    """Some begin in the transaction in which others end; half of the commits are lost."""
    made = [make_token(make_user(balance=50_000)) for _ in range(4)]
    for moment in list(Cut) * 4:
        proxy.cut(moment, writing=CHARGING)
        proxy.cut(moment, writing=ADMITTING)

    with Load(8, lambda number: chat(web.port, made[number % 4].key, tokens=10)) as load:
        wait_until(lambda: not proxy.cuts_left and load.count(200) >= 100)
    answers = load.answers

    served = {answer.request_id: answer.charged for answer in answers if answer.status == 200}
    wait_until(lambda: not Hold.objects.exists())
    assert {answer.status for answer in answers} <= {200, 503}
    charged = dict(UsageRecord.objects.values_list("request_id", "quota"))
    assert charged.keys() == served.keys()
    assert all(told in (None, charged[request_id]) for request_id, told in served.items())
    assert broken() == []
