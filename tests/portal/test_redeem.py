import json

import pytest
from django.test import Client

from accounts.models import User
from billing.models import LedgerEntry
from redemption.models import RedemptionCode
from redemption.services import create_batch, set_code_status
from tests.factories import NOON, balance_of, make_root, make_user
from tests.portal.conftest import HTMX

URL = "/redeem/"


@pytest.fixture
def code(db: None) -> str:
    _batch, [code] = create_batch(actor=make_root(), name="spring", quota=2_500_000, count=1, at=NOON)
    return code


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


@pytest.mark.parametrize("change", ["{}", " {} ", "\t{}\n", "“{}”", "code: {}"])
def test_how_a_code_is_pasted_does_not_matter(ann: User, console: Client, code: str, change: str) -> None:
    typed = code.lower().replace("-", " – ").replace("0", "o").replace("1", "l")
    pasted = change.format(typed) if "code" not in change else typed

    console.post(URL, {"code": pasted})

    assert balance_of(ann) == 7_500_000


def test_full_width_letters_are_read_as_the_plain_ones(console: Client, ann: User, code: str) -> None:
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in code)

    console.post(URL, {"code": wide})

    assert balance_of(ann) == 7_500_000


def test_a_link_fills_the_code_in_but_never_redeems_it(console: Client, ann: User, code: str) -> None:
    response = console.get(URL, {"code": code})

    assert f'value="{code}"' in response.text
    assert balance_of(ann) == 5_000_000
    assert RedemptionCode.objects.get().status == "enabled"


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

    answers = [
        console.post(URL, {"code": typed}).context["form"].errors["code"] for typed in (code, "ABCD" * 4)
    ]

    assert answers[0] == answers[1]


def test_a_code_of_another_length_is_told_how_long_codes_are(console: Client) -> None:
    response = console.post(URL, {"code": "ABCD-EFGH"})

    assert response.status_code == 422
    assert "You entered 8 characters; codes made here have 16." in response.text


@pytest.mark.parametrize("typed", ["", "   ", "- - -"])
def test_an_empty_code_is_asked_for(console: Client, typed: str) -> None:
    response = console.post(URL, {"code": typed})

    assert response.status_code == 422
    assert "Enter the code that you were given." in response.text


def test_the_page_lists_ones_own_codes(console: Client, ann: User, code: str) -> None:
    console.post(URL, {"code": code})

    assert [entry.memo for entry in console.get(URL).context["redeemed"]] == [f"…{code[-4:]}"]
    assert LedgerEntry.objects.get(kind="redemption").account_id == ann.pk
