import json

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.models import LedgerEntry
from billing.services.reversals import reverse
from redemption.models import RedemptionCode, RefusedAttempts
from redemption.services.codes import set_code_status
from tests.factories import NOON, balance_of, make_code, make_root, make_user
from tests.portal.conftest import HTMX

URL = "/redeem/"
UNKNOWN = "0000-0000-0000-0000-0"
"""Its check character fits; nobody made it."""


@pytest.fixture
def code(db: None) -> str:
    return make_code(quota=2_500_000)


def with_another_last_character(code: str) -> str:
    return code[:-1] + ("A" if code[-1] != "A" else "B")


def test_a_code_adds_its_amount_and_the_new_balance_is_said(console: Client, ann: User, code: str) -> None:
    response = console.post(URL, {"code": code}, follow=True)

    assert balance_of(ann) == 7_500_000
    assert "$5.00 was added. You have $15.00 now." in response.text


def test_without_a_reload_the_box_and_the_balance_are_swapped(console: Client, code: str) -> None:
    response = console.post(URL, {"code": code}, headers=HTMX)

    assert "<html" not in response.text
    assert "$5.00 was added" in response.text
    assert '<span id="available" hx-swap-oob="true"><data class="money" value="7500000"' in response.text
    assert "list-changed" in json.loads(response.headers["HX-Trigger"])


@pytest.mark.parametrize("change", ["{}", " {} ", "\t{}\n", "“{}”", "{}."])
def test_how_a_code_is_pasted_does_not_matter(ann: User, console: Client, code: str, change: str) -> None:
    typed = code.lower().replace("-", " – ").replace("0", "o").replace("1", "l")

    console.post(URL, {"code": change.format(typed)})

    assert balance_of(ann) == 7_500_000


def test_full_width_letters_are_read_as_the_plain_ones(console: Client, ann: User, code: str) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in code)

    console.post(URL, {"code": wide})

    assert balance_of(ann) == 7_500_000


def test_a_link_fills_the_code_in_but_never_redeems_it(console: Client, ann: User, code: str) -> None:
    response = console.get(URL, {"code": code})

    assert f'value="{code}"' in response.text
    assert "Your link has filled the code in" in response.text
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert balance_of(ann) == 5_000_000
    assert RedemptionCode.objects.earliest("pk").status == "enabled"


def test_a_visitor_with_a_link_signs_in_and_finds_the_code_filled_in(ann: User, code: str) -> None:
    visitor = Client()

    asked = visitor.get(URL, {"code": code})
    login = visitor.get(asked.headers["Location"])
    back = visitor.post(
        "/accounts/login/",
        {"login": "ann", "password": "a long pass phrase", "next": login.context["redirect_field_value"]},
        follow=True,
    )

    assert f'value="{code}"' in back.text
    assert balance_of(ann) == 5_000_000


def test_a_used_code_is_refused_in_place_and_what_was_typed_stays(
    console: Client, ann: User, client: Client, code: str
) -> None:
    late = make_user()
    client.force_login(late)
    console.post(URL, {"code": code})

    response = client.post(URL, {"code": code}, headers=HTMX)

    assert response.status_code == 422
    assert "This code cannot be redeemed." in response.text
    assert f'value="{code}"' in response.text
    assert balance_of(late) == 0


def test_unknown_and_disabled_codes_get_the_same_answer(console: Client, code: str) -> None:
    set_code_status(actor=None, code=RedemptionCode.objects.get(), is_enabled=False)

    answers = [console.post(URL, {"code": typed}).context["form"].errors["code"] for typed in (code, UNKNOWN)]

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("ABCD-EFGH", "This has 8 characters; codes have 17."),
        ("ABCU-EFGH", "“U” occurs in no code."),
        ("", "There is a typing error in this code"),
    ],
)
def test_a_typing_error_is_named_and_costs_no_attempt(
    console: Client, ann: User, code: str, typed: str, reason: str
) -> None:
    response = console.post(URL, {"code": typed or with_another_last_character(code)}, headers=HTMX)

    assert response.status_code == 422
    assert reason in response.text
    assert not RefusedAttempts.objects.exists()
    assert balance_of(ann) == 5_000_000


def test_after_too_many_wrong_codes_a_good_one_has_to_wait(
    console: Client, ann: User, code: str, settings: Settings
) -> None:
    settings.REDEEM_FAILURES_PER_USER = 2
    for _ in range(2):
        console.post(URL, {"code": UNKNOWN})

    response = console.post(URL, {"code": code}, headers=HTMX)

    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 3000
    assert "Too many wrong codes were tried" in response.text
    assert balance_of(ann) == 5_000_000


@pytest.mark.parametrize("typed", ["", "   ", "- - -"])
def test_an_empty_code_is_asked_for(console: Client, typed: str) -> None:
    response = console.post(URL, {"code": typed})

    assert response.status_code == 422
    assert "Enter the code that you were given." in response.text


def test_the_page_lists_ones_own_codes_and_what_was_taken_back(console: Client, ann: User, code: str) -> None:
    console.post(URL, {"code": code})
    before = console.get(URL)
    entry = LedgerEntry.objects.get(kind="redemption")
    reverse(actor=make_root(), entry=entry, memo="m", at=NOON)

    after = console.get(URL)

    assert [entry.memo for entry in before.context["redeemed"]] == [f"…{code[15:19]}"]
    assert entry.account_id == ann.pk
    assert ["taken back" in page.text for page in (before, after)] == [False, True]
