"""Guessing codes over HTTP: what an attacker learns, gets, and sets off."""

import json
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median

import pytest
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from billing.models import EntryKind, LedgerEntry, WebhookDelivery
from redemption import code_format, tasks
from redemption.models import CodeAttack, Redemption, RefusedAttempts
from redemption.services.windows import OWN
from tests.factories import NOON, balance_of, make_admin, make_batch, make_root, make_user, make_webhook
from tests.redemption.guessing import disabled_code, expired_code, guess, make_codes, unknown_code, used_code

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
Post = Callable[[User, str], HttpResponse]


@pytest.fixture(autouse=True)
def _forget_own_windows() -> Iterator[None]:
    OWN.clear()
    yield
    OWN.clear()


def by_api(user: User, address: str = "192.0.2.1") -> Callable[..., HttpResponse]:
    """A program with an access token of a person's, at an address."""
    _token, key = create_access_token(actor=None, user=user, name="a program", scopes=["redeem"])
    client = Client(REMOTE_ADDR=address, headers={"Authorization": f"Bearer {key}"})

    def post(code: str, **headers: str) -> HttpResponse:
        return client.post(
            "/api/v1/redemptions",
            data=json.dumps({"code": code}),
            content_type="application/json",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return post


def by_page(user: User, address: str = "192.0.2.1", **headers: str) -> Callable[[str], HttpResponse]:
    client = Client(REMOTE_ADDR=address, headers=headers)
    client.force_login(user)
    return lambda code: client.post("/redeem/", {"code": code})


def seen(answer: HttpResponse, code: str) -> tuple[int, dict[str, str], str]:
    """What there is to see of an answer, but for what differs every time."""
    own = {"x-oneapi-request-id", "ratelimit", "set-cookie", "content-length", "expires"}
    headers = {name.lower(): value for name, value in answer.items() if name.lower() not in own}
    body = answer.content.decode().replace(answer.headers["X-Oneapi-Request-Id"], "ID")
    body = re.sub(r'(csrfmiddlewaretoken" value="|CSRFToken": ?")\w+', "TOKEN", body)
    for written in (code, code.replace("-", "")):
        body = body.replace(written, "CODE")
    return answer.status_code, headers, body


def unusable_codes() -> list[str]:
    return [unknown_code(), used_code(), disabled_code(), expired_code()]


# --- What is learned --------------------------------------------------------------------------


def test_by_the_api_no_refusal_tells_why() -> None:
    user = make_user()
    post = by_api(user)

    answers = [seen(post(code), code) for code in unusable_codes()]

    assert answers == [answers[0]] * 4
    assert answers[0][0] == 409
    assert json.loads(answers[0][2])["code"] == "code_not_redeemable"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_by_the_page_no_refusal_tells_why(headers: dict[str, str]) -> None:
    post = by_page(make_user(), **headers)

    answers = [seen(post(code), code) for code in unusable_codes()]

    assert answers == [answers[0]] * 4
    assert 400 <= answers[0][0] < 500
    assert "CODE" in answers[0][2], "the control: codes are left out of the comparison"


def test_who_is_throttled_does_not_learn_whether_a_code_is_good() -> None:
    user = make_user()
    guess(user, 10)
    codes = [make_codes()[0], *unusable_codes()]
    for post in (by_api(user), by_page(user), by_page(user, **HTMX)):
        answers = [seen(post(code), code) for code in codes]
        for _status, headers, _body in answers:
            assert 3_500 < int(headers.pop("retry-after")) <= 3_600

        assert answers == [answers[0]] * 5
        assert answers[0][0] == 429
    assert balance_of(user) == 0


def test_the_time_that_a_refusal_takes_does_not_tell_why(settings: Settings) -> None:
    settings.REDEEM_FAILURES_PER_USER = settings.REDEEM_FAILURES_PER_ADDRESS = 10_000
    settings.REDEEM_FAILURES_IN_ALL = settings.API_REQUESTS_PER_TOKEN = 10_000
    settings.API_REQUESTS_PER_ADDRESS = 10_000
    post, codes = by_api(make_user()), [used_code(), disabled_code()]
    took: dict[int, list[float]] = {0: [], 1: [], 2: []}

    for _round in range(200):
        for kind, code in enumerate([unknown_code(), *codes]):
            started = time.perf_counter()
            answer = post(code)
            took[kind].append(time.perf_counter() - started)
            assert answer.status_code == 409

    medians = [median(times) for times in took.values()]
    assert max(medians) < 2 * min(medians)


# --- What is said -----------------------------------------------------------------------------


def test_the_api_says_that_there_were_too_many_and_when_to_come_back() -> None:
    user = make_user()
    post = by_api(user)

    statuses = [post(unknown_code()).status_code for _guess in range(11)]
    answer = post(unknown_code())

    assert statuses == [409] * 10 + [429]
    assert (answer.status_code, answer.headers["Content-Type"]) == (429, "application/problem+json")
    problem = json.loads(answer.content)
    assert (problem["code"], problem["remedy"]) == (
        "too_many_attempts",
        "Wait 60 minutes, then try again.",
    )


def test_the_page_says_it_where_the_code_was_entered_and_htmx_shows_it() -> None:
    user = make_user()
    guess(user, 10)
    code = make_codes()[0]

    answers = [by_page(user)(code), by_page(user, **HTMX)(code)]

    for answer in answers:
        assert answer.status_code == 429
        assert answer.context["form"].errors["code"][0].startswith("Too many wrong codes were tried")
    assert '{"code":"429","swap":true}' in answers[0].content.decode()


def test_by_the_api_a_refusal_is_recorded_though_the_request_is_rolled_back() -> None:
    user = make_user()

    by_api(user)(unknown_code())

    assert RefusedAttempts.objects.get().user == user


def test_by_the_api_who_is_throttled_still_gets_the_answer_to_what_was_redeemed_before() -> None:
    user, [code] = make_user(), make_codes()
    post = by_api(user)
    first = post(code, Idempotency_Key="order-1")
    while post(unknown_code()).status_code != 429:
        pass

    again, other = post(code, Idempotency_Key="order-1"), post(code, Idempotency_Key="order-2")

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 429)
    assert again.content == first.content
    assert balance_of(user) == 500


def test_by_the_api_typing_errors_are_not_counted() -> None:
    user, [code] = make_user(), make_codes()
    post = by_api(user)

    statuses = {post("ABCD-ABCD-ABCD-ABCD-A").status_code for _typo in range(12)}

    assert statuses == {422}
    assert post(code).status_code == 201
    assert not RefusedAttempts.objects.exists()


# --- Many guesses -----------------------------------------------------------------------------

GUESSES = int(os.environ.get("GUESSES", "1000"))
"""``GUESSES=10000 GUESSED_CODES=1000000`` for more, in some minutes."""
CODES = int(os.environ.get("GUESSED_CODES", "1000"))


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_few_are_looked_at_and_operators_are_told_once(settings: Settings) -> None:
    settings.API_REQUESTS_PER_TOKEN = settings.API_REQUESTS_PER_ADDRESS = 100_000
    operators = [make_admin(), make_root()]
    make_batch(operators[0], count=CODES)
    hooks = [make_webhook().webhook.pk, make_webhook().webhook.pk]
    users = [make_user() for _guesser in range(20)]
    posts = [by_api(user, f"192.0.2.{number % 5}") for number, user in enumerate(users)]
    mail.outbox.clear()

    statuses: Counter[int] = Counter()
    for number in range(GUESSES):
        code = code_format.written(secrets.token_bytes(code_format.RANDOM_BYTES))[0]
        statuses[posts[number % len(posts)](code).status_code] += 1
        if number % 500 == 499:
            tasks.watch_attacks()
            tasks.send_attack_mails()

    assert statuses == {409: 150, 429: GUESSES - 150}, "thirty for each of the five addresses"
    assert [balance_of(user) for user in users] == [0] * 20
    assert not Redemption.objects.exists()
    assert not LedgerEntry.objects.filter(kind=EntryKind.REDEMPTION).exists()
    [attack] = CodeAttack.objects.all()
    assert attack.ended_at is None
    assert (attack.refused_count, attack.throttled_count) == (150, GUESSES - 150)
    assert (attack.user_count, attack.address_count) == (20, 5)
    told = WebhookDelivery.objects.filter(event="code.attack").values_list("webhook", flat=True)
    assert sorted(told) == hooks
    assert sorted(sent.to for sent in mail.outbox) == sorted([one.email] for one in operators)
    assert RefusedAttempts.objects.count() <= 20 * 2, "a row for each person and ten minutes"
    assert attack.started_at <= timezone.now()
    assert attack.started_at > NOON
