"""Batches of codes as operators order, watch, take away and end them."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from billing.services.accounts import adjust
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services import batches as services
from redemption.services import making
from redemption.services.redeeming import redeem
from tests.factories import NOON, balance_of, codes_in_clear, make_admin, make_batch, make_user

HTMX = {"HX-Request": "true"}
DATA = {
    "name": "workshop",
    "amount": "2",
    "unit": "usd",
    "count": "12",
    "uses_per_code": "1",
    "uses_per_user": "1",
}


def order(client: Client, **fields: str) -> CodeBatch:
    """Order codes with the form and return the batch whose page comes next."""
    answer = client.post(reverse("ops:code-create"), {"key": str(uuid4()), **DATA, **fields})
    assert answer.status_code == 302, answer.context["form"].errors
    return CodeBatch.objects.get(pk=answer.headers["Location"].rstrip("/").rpartition("/")[2])


def page_of(batch: CodeBatch) -> str:
    return reverse("ops:code-detail", args=[batch.pk])


def fresh(**terms: object) -> CodeBatch:
    """A batch that was made just now, so that its codes can be read."""
    return make_batch(at=timezone.now(), **terms)


# --- Ordering ---------------------------------------------------------------------------------


def test_codes_that_were_ordered_can_be_downloaded_and_redeemed(admin_client: Client) -> None:
    batch = order(admin_client)

    answer = admin_client.post(reverse("ops:code-download", args=[batch.pk]), {"format": "txt"})

    codes = answer.getvalue().decode().split()
    user = make_user()
    redeem(code=codes[11], user=user, at=timezone.now())
    assert len(set(codes)) == 12
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="codes-{batch.pk}.txt"'
    assert balance_of(user) == 1_000_000


def test_all_terms_are_kept(admin_client: Client) -> None:
    make_user(group="vip")
    batch = order(
        admin_client,
        tag="events",
        note="on paper",
        valid_from="2126-03-01T08:00",
        valid_until="2126-04-01T08:00",
        uses_per_code="5",
        uses_per_user="2",
        is_once_per_user="on",
        group="vip",
    )

    assert (batch.tag, batch.note, batch.group) == ("events", "on paper", "vip")
    assert (batch.uses_per_code, batch.uses_per_user, batch.is_once_per_user) == (5, 2, True)
    assert batch.valid_from == datetime(2126, 3, 1, 8, tzinfo=UTC)
    assert batch.valid_until == datetime(2126, 4, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"count": "0"}, "count", "greater than or equal to 1"),
        ({"count": "1000001"}, "count", "less than or equal to 1000000"),
        ({"amount": "0"}, "amount", "more than 0"),
        ({"amount": "much"}, "amount", "such as 5 or 12.50"),
        ({"name": ""}, "name", "required"),
        ({"uses_per_user": "2"}, "uses_per_user", "one person no more of them"),
        ({"valid_until": "2020-01-01T00:00"}, "valid_until", "in the future"),
        (
            {"valid_from": "2126-02-01T00:00", "valid_until": "2126-01-01T00:00"},
            "valid_until",
            "later than they are valid from",
        ),
        ({"group": "no such group"}, "group", "not one of the available choices"),
    ],
)
def test_terms_that_make_no_sense_are_refused_at_their_field(
    fields: dict[str, str], field: str, reason: str, admin_client: Client
) -> None:
    answer = admin_client.post(reverse("ops:code-create"), {"key": str(uuid4()), **DATA, **fields})

    assert answer.status_code == 422
    assert reason in " ".join(answer.context["form"].errors[field])
    assert not CodeBatch.objects.exists()


def test_a_form_that_is_sent_twice_makes_one_batch(admin_client: Client) -> None:
    key = str(uuid4())

    first, second = order(admin_client, key=key), order(admin_client, key=key)

    assert first == second
    assert RedemptionCode.objects.count() == 12
    assert AuditEvent.objects.filter(action="code_batch.created").count() == 1


def test_a_form_that_was_changed_after_it_made_codes_makes_none_before_it_is_sent_again(
    admin_client: Client,
) -> None:
    key = str(uuid4())
    order(admin_client, key=key)

    answer = admin_client.post(reverse("ops:code-create"), {"key": key, **DATA, "count": "3"})
    again = order(admin_client, key=answer.context["form"]["key"].value(), count="3")

    assert answer.status_code == 422
    assert "already made other codes" in answer.content.decode()
    assert sorted(CodeBatch.objects.values_list("count", flat=True)) == [3, 12]
    assert again.count == 3


def test_many_codes_are_left_to_a_job_and_the_page_says_how_far_it_is(admin_client: Client) -> None:
    batch = order(admin_client, count="1001")

    before = admin_client.get(page_of(batch)).content.decode()
    making._report_progress(batch, 500)
    during = admin_client.get(reverse("ops:code-progress", args=[batch.pk]))
    making.make_codes(batch=batch, at=timezone.now())
    after = admin_client.get(reverse("ops:code-progress", args=[batch.pk]))

    assert batch.status == "creating"
    assert "Waiting for a worker to begin" in before
    assert "500 of 1,001 codes" in during.content.decode()
    assert "HX-Trigger" not in during.headers
    assert "list-changed" in after.headers["HX-Trigger"]


def test_a_batch_is_cancelled_while_it_is_made(admin_client: Client) -> None:
    batch = order(admin_client, count="1001")

    admin_client.post(reverse("ops:code-cancel", args=[batch.pk]))
    is_made = making.make_codes(batch=batch, at=timezone.now())

    assert not is_made
    assert not RedemptionCode.objects.exists()
    assert "It has no codes and never will." in admin_client.get(page_of(batch)).content.decode()


def test_a_batch_that_is_there_cannot_be_cancelled(admin_client: Client) -> None:
    batch = make_batch()

    answer = admin_client.post(reverse("ops:code-cancel", args=[batch.pk]), headers=HTMX)

    assert "cannot be done" in answer.headers["HX-Trigger"]
    assert RedemptionCode.objects.count() == 3


def test_a_batch_that_failed_says_why_and_is_tried_again(admin_client: Client) -> None:
    batch = order(admin_client, count="1001")
    services.fail_batch(batch_id=batch.pk, reason="DiskFull")

    page = admin_client.get(page_of(batch)).content.decode()
    admin_client.post(reverse("ops:code-retry", args=[batch.pk]))

    batch.refresh_from_db()
    assert "Reason: DiskFull." in page
    assert batch.status == "creating"


# --- Finding ----------------------------------------------------------------------------------


def test_batches_are_narrowed_by_tag_and_state(admin_client: Client) -> None:
    spring, autumn = make_batch(name="spring", tag="events"), make_batch(name="autumn")
    services.set_batch_status(actor=make_admin(), batch=autumn, is_enabled=False)

    by_tag = admin_client.get(reverse("ops:codes"), {"tag": "events"})
    by_state = admin_client.get(reverse("ops:codes"), {"state": "disabled"})
    by_nothing_known = admin_client.get(reverse("ops:codes"), {"state": "strange"})

    assert [batch for batch, _state in by_tag.context["rows"]] == [spring]
    assert [batch for batch, _state in by_state.context["rows"]] == [autumn]
    assert len(by_nothing_known.context["rows"]) == 2


@pytest.mark.parametrize("write", ["{}", "{}\n", "  {} "])
def test_a_code_is_found_in_any_form_and_its_page_names_it_by_number(
    admin_client: Client, write: str
) -> None:
    batch = make_batch()
    code = codes_in_clear(batch)[1]
    typed = write.format(code.lower().replace("-", " "))

    answer = admin_client.post(reverse("ops:code-find"), {"q": typed})
    by_htmx = admin_client.post(reverse("ops:code-find"), {"q": typed}, headers=HTMX)

    [found] = RedemptionCode.objects.filter(hint=code[15:19])
    assert answer.headers["Location"] == reverse("ops:code-history", args=[batch.pk, found.pk])
    assert by_htmx.headers["HX-Redirect"] == answer.headers["Location"]


def test_a_name_finds_batches_and_four_characters_find_redeemed_codes_too(admin_client: Client) -> None:
    batch = make_batch(name="Spring 2026")
    code = codes_in_clear(batch)[0]
    redeem(code=code, user=make_user(), at=NOON)

    by_name = admin_client.post(reverse("ops:code-find"), {"q": "spring"})
    by_hint = admin_client.post(reverse("ops:code-find"), {"q": code[15:19].lower()})

    assert [found for found, _state in by_name.context["rows"]] == [batch]
    assert code[15:19] in {found.hint for found in by_hint.context["codes"]}


def test_a_code_with_a_typing_error_is_told_from_one_that_is_unknown(admin_client: Client) -> None:
    code = codes_in_clear(make_batch())[0]
    other = "A" if code[-1] != "A" else "B"

    mistyped = admin_client.post(reverse("ops:code-find"), {"q": code[:-1] + other})
    unknown = admin_client.post(reverse("ops:code-find"), {"q": "0000-0000-0000-0000-0"})

    assert "There is a typing error in this code" in mistyped.content.decode()
    assert "No batch and no code is like this" in unknown.content.decode()
    assert "typing error" not in unknown.content.decode()


# --- The batch's page -------------------------------------------------------------------------


def test_a_batch_shows_who_redeemed_and_can_be_narrowed(admin_client: Client) -> None:
    batch = fresh()
    codes = codes_in_clear(batch)
    person = make_user(username="the-redeemer")
    redeem(code=codes[0], user=person, at=timezone.now())
    url = page_of(batch)

    used = admin_client.get(url, {"status": "used"})
    by_hint = admin_client.get(url, {"q": codes[0][15:19].lower()})
    of_an_unused_one = admin_client.get(url, {"q": codes[1][15:19]})

    assert [code.redeemed_by for code in used.context["page"].items] == [person]
    assert "the-redeemer" in used.content.decode()
    assert {code.hint for code in by_hint.context["page"].items} == {codes[0][15:19]}
    assert "Only redeemed codes are found by their last group of four." in of_an_unused_one.content.decode()


def test_the_funnel_and_the_chart_tell_what_became_of_the_codes(admin_client: Client) -> None:
    batch = fresh(count=4, quota=500_000)
    codes = codes_in_clear(batch)
    now = timezone.now()
    redeem(code=codes[0], user=make_user(), at=now - timedelta(days=2))
    redeem(code=codes[1], user=make_user(), at=now)

    answer = admin_client.get(page_of(batch))

    funnel = answer.context["funnel"]
    assert (funnel.made, funnel.is_downloaded, funnel.redeemed) == (4, True, 2)
    assert answer.context["batch"].unused_uses == 2
    assert answer.context["chart"]["series"][0]["values"] == [1, 0, 1]
    assert "$2.00" in answer.content.decode()


def test_a_batch_worth_more_than_the_database_can_count_is_shown(admin_client: Client) -> None:
    batch = make_batch(quota=MAX_QUOTA, count=1025)

    answers = [admin_client.get(page) for page in (reverse("ops:codes"), page_of(batch))]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].context["batch"].unused_quota == 1025 * MAX_QUOTA


def test_the_lists_cost_the_same_number_of_queries_however_long(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    batch = fresh()
    codes = codes_in_clear(batch)

    def open_lists() -> None:
        with django_assert_num_queries(4):
            admin_client.get(reverse("ops:codes"))
        with django_assert_num_queries(6):
            admin_client.get(page_of(batch))
        with django_assert_num_queries(4):
            admin_client.get(reverse("ops:code-redemptions"))

    redeem(code=codes[0], user=make_user(), at=timezone.now())
    open_lists()
    for code in codes[1:]:
        redeem(code=code, user=make_user(), at=timezone.now())
        make_batch()
    open_lists()


# --- Codes in clear ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "beginning"), [("csv", b"\xef\xbb\xbfcode,"), ("xlsx", b"PK"), ("txt", b""), ("pdf", b"%PDF")]
)
def test_every_format_can_be_downloaded_and_is_audited(
    admin_client: Client, admin: User, form: str, beginning: bytes
) -> None:
    batch = fresh()

    answer = admin_client.post(reverse("ops:code-download", args=[batch.pk]), {"format": form})

    content = answer.getvalue()
    event = AuditEvent.objects.get(action="code_batch.downloaded")
    assert content.removeprefix(b"\xef\xbb\xbf").startswith(beginning.removeprefix(b"\xef\xbb\xbf"))
    assert (event.actor, event.changes["format"]["new"]) == (admin, form)


def test_a_long_batch_is_printed_in_ranges(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redemption.views.ops_downloads.MAX_PDF_CODES", 2)
    batch = fresh(count=5)
    url = reverse("ops:code-download", args=[batch.pk])

    choices = admin_client.get(page_of(batch)).context["pdf_ranges"]
    answer = admin_client.post(url, {"format": "pdf", "start": "4"})

    assert choices == [(0, 1, 2), (2, 3, 4), (4, 5, 5)]
    assert answer.getvalue().startswith(b"%PDF")


def test_few_codes_are_shown_and_each_has_a_qr_code_of_its_link(admin_client: Client) -> None:
    batch = fresh()

    shown = admin_client.post(reverse("ops:code-show", args=[batch.pk]), headers=HTMX)
    code = shown.context["codes"][0]
    qr = admin_client.post(reverse("ops:code-qr", args=[batch.pk]), {"code": code})

    assert all(text in shown.content.decode() for text in shown.context["codes"])
    assert "no-store" in shown.headers["Cache-Control"]
    assert "no-store" in qr.headers["Cache-Control"]
    assert qr.context["link"] == f"http://testserver/redeem/?code={code}"
    assert "data:image/svg+xml,%3Csvg" in qr.content.decode()
    assert AuditEvent.objects.filter(action="code_batch.downloaded").count() == 1


def test_a_qr_code_is_made_of_the_batchs_own_codes_only(admin_client: Client) -> None:
    batch, other = fresh(), fresh()
    url = reverse("ops:code-qr", args=[batch.pk])

    foreign = admin_client.post(url, {"code": codes_in_clear(other)[0]})
    nonsense = admin_client.post(url, {"code": "no code"}, headers=HTMX)

    assert foreign.status_code == 404
    assert nonsense.status_code == 204


def test_many_codes_are_not_shown(admin_client: Client) -> None:
    batch = fresh(count=making.AT_ONCE + 1)

    answer = admin_client.post(reverse("ops:code-show", args=[batch.pk]))

    assert answer.status_code == 404
    assert reverse("ops:code-show", args=[batch.pk]) not in admin_client.get(page_of(batch)).content.decode()


def test_after_a_download_it_is_asked_for_the_file_and_confirming_deletes_the_codes(
    admin_client: Client,
) -> None:
    batch = fresh()
    question = "Have you kept the file?"

    before = admin_client.get(page_of(batch)).content.decode()
    admin_client.post(reverse("ops:code-download", args=[batch.pk]), {"format": "csv"}).getvalue()
    asked = admin_client.get(page_of(batch)).content.decode()
    admin_client.post(reverse("ops:code-forget", args=[batch.pk]))
    after = admin_client.get(page_of(batch)).content.decode()
    again = admin_client.post(
        reverse("ops:code-download", args=[batch.pk]), {"format": "csv"}, follow=True
    ).content.decode()

    assert [question in page for page in (before, asked, after)] == [False, True, False]
    assert "Nobody can read these codes any more" in after
    assert "cannot be read any more" in again
    assert not SealedCodes.objects.exists()


def test_codes_are_nowhere_but_in_what_was_asked_for(
    admin_client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    batch = order(admin_client, count="1")
    shown = admin_client.post(reverse("ops:code-show", args=[batch.pk]))
    [code] = shown.context["codes"]
    row = RedemptionCode.objects.get()
    pages = [
        reverse("ops:codes"),
        page_of(batch),
        reverse("ops:code-history", args=[batch.pk, row.pk]),
        reverse("ops:audit"),
    ]

    found = admin_client.post(reverse("ops:code-find"), {"q": code})
    contents = [admin_client.get(page).content.decode() for page in pages]

    assert all(code not in content for content in contents)
    assert f"…{row.hint}" in contents[1]
    assert code not in found.headers["Location"]
    assert code not in str(RedemptionCode.objects.values().get())
    assert code not in caplog.text
    assert code not in "".join(capfd.readouterr())


# --- Ending -----------------------------------------------------------------------------------


def test_a_batch_is_disabled_and_enabled_as_a_whole(admin_client: Client) -> None:
    batch = fresh()
    code, user = codes_in_clear(batch)[0], make_user()
    url = reverse("ops:code-batch-status", args=[batch.pk])

    admin_client.post(url, {"is_enabled": "0"})
    with pytest.raises(DomainError):
        redeem(code=code, user=user, at=timezone.now())
    admin_client.post(url, {"is_enabled": "1"})
    redeem(code=code, user=user, at=timezone.now())

    assert balance_of(user) == 500


def test_revoking_says_what_it_ends_and_has_to_be_confirmed(admin_client: Client) -> None:
    batch = fresh(quota=500_000)
    codes = codes_in_clear(batch)
    redeem(code=codes[0], user=make_user(), at=timezone.now())
    url = reverse("ops:code-revoke", args=[batch.pk])

    preview = admin_client.get(url).content.decode()
    unsure = admin_client.post(url)
    still = CodeBatch.objects.get().status
    admin_client.post(url, {"is_sure": "on"})

    assert "$2.00" in preview  # what ends
    assert "$1.00" in preview  # what stays
    assert "Tick this to say that you are sure." in unsure.content.decode()
    assert (unsure.status_code, still) == (422, "ready")
    assert CodeBatch.objects.get().status == "revoked"
    with pytest.raises(DomainError):
        redeem(code=codes[1], user=make_user(), at=timezone.now())


def test_a_revoked_batch_offers_nothing_more_to_revoke(admin_client: Client) -> None:
    batch = fresh()
    services.revoke_batch(actor=make_admin(), batch=batch)

    page = admin_client.get(page_of(batch)).content.decode()
    panel = admin_client.get(reverse("ops:code-revoke", args=[batch.pk])).content.decode()
    again = admin_client.post(reverse("ops:code-revoke", args=[batch.pk]), {"is_sure": "on"})

    assert reverse("ops:code-revoke", args=[batch.pk]) not in page
    assert "There is nothing to revoke" in panel
    assert again.status_code == 422


# --- One code ---------------------------------------------------------------------------------


def only_code(batch: CodeBatch) -> RedemptionCode:
    return RedemptionCode.objects.get(batch=batch)


def test_a_disabled_code_cannot_be_redeemed_until_enabled_again(admin_client: Client) -> None:
    batch = fresh(count=1)
    [code] = codes_in_clear(batch)
    url = reverse("ops:code-status", args=[batch.pk, only_code(batch).pk])
    user = make_user()

    admin_client.post(url, {"is_enabled": "0"})
    with pytest.raises(DomainError):
        redeem(code=code, user=user, at=timezone.now())
    admin_client.post(url, {"is_enabled": "1"})
    redeem(code=code, user=user, at=timezone.now())

    assert balance_of(user) == 500


def test_a_used_code_stays_used(admin_client: Client) -> None:
    batch = fresh(count=1)
    redeem(code=codes_in_clear(batch)[0], user=make_user(), at=timezone.now())
    url = reverse("ops:code-status", args=[batch.pk, only_code(batch).pk])

    answer = admin_client.post(url, {"is_enabled": "1"}, follow=True)

    assert only_code(batch).status == "used"
    assert "is used up and stays as it is" in answer.content.decode()


def test_a_code_is_not_found_under_another_batch(admin_client: Client) -> None:
    code, other = only_code(make_batch(count=1)), make_batch(count=1)
    args = [other.pk, code.pk]

    assert admin_client.get(reverse("ops:code-history", args=args)).status_code == 404
    assert admin_client.post(reverse("ops:code-status", args=args), {"is_enabled": "0"}).status_code == 404


def test_a_code_tells_its_whole_history(admin_client: Client, admin: User) -> None:
    batch = fresh(count=1, uses_per_code=2)
    [code], ann, ben = codes_in_clear(batch), make_user(username="ann"), make_user(username="ben")
    redeem(code=code, user=ann, at=timezone.now())
    row = only_code(batch)
    admin_client.post(reverse("ops:code-status", args=[batch.pk, row.pk]), {"is_enabled": "0"})
    admin_client.post(reverse("ops:code-status", args=[batch.pk, row.pk]), {"is_enabled": "1"})
    redeem(code=code, user=ben, at=timezone.now())

    answer = admin_client.get(reverse("ops:code-history", args=[batch.pk, row.pk]))

    assert [redemption.user for redemption in answer.context["page"].items] == [ben, ann]
    assert [seen.event.action for seen in answer.context["rows"]] == [
        "code.status_changed",
        "code.status_changed",
        "code_batch.downloaded",
        "code_batch.created",
    ]
    assert f"/ops/ledger/{answer.context['page'].items[0].entry_id}/reverse/" in answer.content.decode()


def test_what_a_code_gave_is_taken_back_as_far_as_it_is_there(admin_client: Client) -> None:
    batch, user = fresh(count=1, quota=500_000), make_user()
    entry = redeem(code=codes_in_clear(batch)[0], user=user, at=timezone.now())
    adjust(actor=make_admin(), user=user, quota=-300_000, memo="spent", at=timezone.now())
    url = reverse("ops:ledger-reverse", args=[entry.pk])
    panel = admin_client.get(url)
    key = panel.context["form"]["key"].value()

    admin_client.post(url, {"key": key, "memo": "stolen", "allow_partial": "on"})

    page = admin_client.get(reverse("ops:code-history", args=[batch.pk, only_code(batch).pk]))
    [redemption] = page.context["page"].items
    assert "The code stays used" in panel.content.decode()
    assert (balance_of(user), redemption.reversed_quota, redemption.shortfall) == (0, 200_000, 300_000)
    assert "$0.60 were gone" in page.content.decode()
    assert "Take back…" not in page.content.decode()
    assert only_code(batch).status == "used"


def test_an_entry_leads_to_its_code(admin_client: Client) -> None:
    batch = fresh(count=1)
    entry = redeem(code=codes_in_clear(batch)[0], user=make_user(), at=timezone.now())
    number = reverse("ops:code-number", args=[only_code(batch).pk])

    page = admin_client.get(reverse("ops:ledger-entry", args=[entry.pk])).content.decode()
    answer = admin_client.get(number)

    assert f'href="{number}"' in page
    assert answer.headers["Location"] == reverse("ops:code-history", args=[batch.pk, only_code(batch).pk])


# --- Redemptions ------------------------------------------------------------------------------


def test_redemptions_are_narrowed_by_person_day_and_batch(admin_client: Client) -> None:
    first, second = fresh(), fresh()
    ann, ben = make_user(username="ann"), make_user(username="ben")
    now, codes = timezone.now(), codes_in_clear(first)
    redeem(code=codes[0], user=ann, at=now - timedelta(days=3))
    redeem(code=codes[1], user=ben, at=now)
    redeem(code=codes_in_clear(second)[0], user=ann, at=now)
    url, today = reverse("ops:code-redemptions"), f"{now:%Y-%m-%d}"

    def found(**filters: object) -> list[tuple[str, int]]:
        items = admin_client.get(url, filters).context["page"].items
        return [(item.user.username, item.batch_id) for item in items]

    assert found() == [("ann", second.pk), ("ben", first.pk), ("ann", first.pk)]
    assert found(user="ann") == [("ann", second.pk), ("ann", first.pk)]
    assert found(user=ben.pk) == [("ben", first.pk)]
    assert found(since=today, until=today, batch=first.pk) == [("ben", first.pk)]
    assert found(until=f"{now - timedelta(days=1):%Y-%m-%d}") == [("ann", first.pk)]


def test_a_filter_of_redemptions_that_cannot_be_read_leaves_none_and_says_why(admin_client: Client) -> None:
    redeem(code=codes_in_clear(fresh())[0], user=make_user(), at=timezone.now())

    answer = admin_client.get(reverse("ops:code-redemptions"), {"since": "yesterday"})

    assert answer.context["page"].items == []
    assert "Enter a valid date." in answer.content.decode()


def test_an_administrator_does_not_see_what_root_redeemed(
    root: User, admin_client: Client, root_client: Client
) -> None:
    batch = fresh(count=1)
    redeem(code=codes_in_clear(batch)[0], user=root, at=timezone.now())
    urls = [
        reverse("ops:code-redemptions"),
        reverse("ops:code-history", args=[batch.pk, only_code(batch).pk]),
    ]

    seen = [
        len(client.get(url).context["page"].items) for client in (admin_client, root_client) for url in urls
    ]

    assert seen == [0, 0, 1, 1]
