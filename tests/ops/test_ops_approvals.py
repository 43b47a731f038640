from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User, UserStatus
from billing.models import BulkTopUp, LedgerEntry, Proposal, UsageRecord
from billing.services import acts
from billing.services.accounts import top_up
from billing.services.approval_settings import approval_threshold, set_approval_threshold
from billing.services.approvals import submit
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from tests.factories import NOON, balance_of, make_admin, make_channel, make_token, make_user, settlement

LIST = "/ops/approvals/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _threshold(root: User) -> None:
    set_approval_threshold(actor=root, threshold=500)


@pytest.fixture
def other_client(signed_in: Callable[[User], Client]) -> Client:
    return signed_in(make_admin(username="other"))


def fields(**more: str) -> dict[str, str]:
    return {"key": str(uuid4()), "memo": "a bonus", "unit": "quota", **more}


def proposal_of(actor: User, act: acts.Act) -> Proposal:
    kept = submit(actor=actor, act=act, at=timezone.now())
    assert isinstance(kept, Proposal)
    return kept


@pytest.fixture
def proposal(admin: User, person: User) -> Proposal:
    return proposal_of(admin, acts.TopUp(user_id=person.pk, quota=600, memo="a bonus"))


def url_of(name: str, proposal: Proposal) -> str:
    return reverse(f"ops:approval{name}", args=[proposal.pk])


def test_a_top_up_above_the_amount_is_proposed_once_and_says_where_it_waits(
    admin_client: Client, person: User
) -> None:
    url, data = reverse("ops:user-top-up", args=[person.pk]), fields(amount="501")

    panels = [admin_client.post(url, data, headers=HTMX) for _ in range(2)]
    page = admin_client.post(url, data, follow=True)

    proposal = Proposal.objects.get()
    assert [panel.status_code for panel in panels] == [200, 200]
    assert "Nothing has moved yet" in panels[0].text
    assert f"http://testserver{url_of('', proposal)}" in panels[0].text
    assert "list-changed" in panels[0].headers["HX-Trigger"]
    assert page.redirect_chain == [(url_of("", proposal), 302)]
    assert "another operator has to approve this" in page.text
    assert balance_of(person) == 1_000


def test_every_other_form_proposes_as_well(
    admin: User, admin_client: Client, person: User, root: User
) -> None:
    settle(settlements=[settlement(make_token(person), make_channel(), quota=501)], at=NOON)
    entry = top_up(actor=admin, user=person, quota=501, at=NOON)
    top_up_many(actor=admin, items=[TopUp(user_id=person.pk, quota=501)], at=NOON)
    forms = {
        "user-adjust": (person.pk, fields(direction="take", amount="501")),
        "ledger-reverse": (entry.pk, fields()),
        "usage-refund": (UsageRecord.objects.get().pk, fields(amount="501")),
        "ledger-bulk-undo": (BulkTopUp.objects.get().pk, fields()),
    }

    answers = {
        name: admin_client.post(reverse(f"ops:{name}", args=[pk]), data) for name, (pk, data) in forms.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(forms, 302)
    assert sorted(Proposal.objects.values_list("kind", "amount")) == [
        ("adjustment", -501),
        ("bulk_undo", -501),
        ("refund", 501),
        ("reversal", -501),
    ]
    for proposal in Proposal.objects.all():
        assert admin_client.get(url_of("", proposal)).status_code == 200


def test_another_operator_approves_it_and_the_entry_names_both(
    admin_client: Client, other_client: Client, admin: User, person: User, proposal: Proposal
) -> None:
    seen = other_client.get(url_of("", proposal)).text

    done = other_client.post(url_of("-approve", proposal), follow=True)

    assert url_of("-approve", proposal) in seen
    assert done.redirect_chain == [(LIST, 302)]
    assert f"Proposal {proposal.pk} was approved and done." in done.text
    assert balance_of(person) == 1_600
    entry = LedgerEntry.objects.latest("pk")
    page = admin_client.get(reverse("ops:ledger-entry", args=[entry.pk])).text
    assert "Proposed by" in page
    assert "Approved by" in page
    assert f">{admin.username}</a>" in page
    assert ">other</a>" in page
    assert url_of("", proposal) in page


def test_who_proposed_it_is_offered_to_withdraw_it_and_nothing_else(
    admin_client: Client, person: User, proposal: Proposal
) -> None:
    seen = admin_client.get(url_of("", proposal)).text
    refused = admin_client.post(url_of("-approve", proposal))
    done = admin_client.post(url_of("-withdraw", proposal), headers=HTMX)

    assert url_of("-withdraw", proposal) in seen
    assert url_of("-approve", proposal) not in seen
    assert refused.status_code == 422
    assert "Another operator has to decide" in refused.text
    assert done.status_code == 204
    assert "Withdrawn" in admin_client.get(f"{LIST}?show=closed").text
    assert balance_of(person) == 1_000


def test_a_rejection_tells_its_reason(admin_client: Client, other_client: Client, proposal: Proposal) -> None:
    url = url_of("-reject", proposal)

    too_long = other_client.post(url, {"note": "x" * 256})
    done = other_client.post(url, {"note": "who is this?"})
    too_late = other_client.post(url, {"note": ""})

    assert (too_long.status_code, done.status_code, too_late.status_code) == (422, 302, 422)
    assert "This was decided already: Rejected." in too_late.text
    assert "who is this?" in admin_client.get(url_of("", proposal)).text


def test_an_approval_that_is_not_possible_now_says_why(
    admin: User, other_client: Client, person: User
) -> None:
    proposal = proposal_of(admin, acts.Adjustment(user_id=person.pk, quota=-1_000, memo="m"))
    settle(settlements=[settlement(make_token(person), make_channel(), quota=1)], at=NOON)

    refused = other_client.post(url_of("-approve", proposal), headers=HTMX)

    assert refused.status_code == 422
    assert "This would leave less than calls in progress hold" in refused.text
    assert url_of("-approve", proposal) in refused.text  # it waits on


def test_what_waits_and_what_does_not_are_listed_apart_and_counted_for_who_may_decide(
    admin: User, admin_client: Client, other_client: Client, person: User, proposal: Proposal
) -> None:
    act = acts.TopUp(user_id=person.pk, quota=700, memo="long ago")
    submit(actor=admin, act=act, at=timezone.now() - timedelta(days=8))

    def count_of(client: Client) -> str:
        return client.get(reverse("ops:approvals-waiting")).context["count"]

    lists = [other_client.get(LIST).text, other_client.get(f"{LIST}?show=closed").text]
    assert [("a bonus" in text, "long ago" in text) for text in lists] == [(True, False), (False, True)]
    assert "waits for you" in lists[0]
    assert "proposed by you" in admin_client.get(LIST).text
    assert "Expired" in lists[1]
    assert (count_of(admin_client), count_of(other_client)) == (0, 1)
    assert reverse("ops:approvals-waiting") in lists[0]  # the menu asks for it


def test_an_administrator_finds_nothing_of_what_is_about_an_operator(
    root: User, admin_client: Client
) -> None:
    proposal = proposal_of(root, acts.TopUp(user_id=make_admin().pk, quota=501, memo="secret"))

    answers = [
        admin_client.get(url_of("", proposal)),
        admin_client.post(url_of("-approve", proposal)),
        admin_client.post(url_of("-reject", proposal), {}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert "secret" not in admin_client.get(LIST).text
    assert admin_client.get(reverse("ops:approvals-waiting")).context["count"] == 0


def test_where_there_is_nobody_else_it_is_said(root: User, root_client: Client, person: User) -> None:
    proposal = proposal_of(root, acts.TopUp(user_id=person.pk, quota=501, memo="m"))

    User.objects.filter(pk=make_admin().pk).update(status=UserStatus.DISABLED)

    alone = [root_client.get(url).text for url in (LIST, url_of("", proposal))]
    make_admin()
    helped = [root_client.get(url).text for url in (LIST, url_of("", proposal))]

    assert "There is no second operator" in alone[0]
    assert "Nobody could approve this" in alone[1]
    assert "There is no second operator" not in helped[0]
    assert "Nobody could approve this" not in helped[1]


@pytest.mark.parametrize(
    ("amount", "threshold", "said"),
    [("100", 50_000_000, "More than $100.00 needs two operators now."), ("", None, "any amount alone now.")],
)
def test_root_sets_the_amount(root_client: Client, amount: str, threshold: int | None, said: str) -> None:
    url = reverse("ops:approvals-threshold")

    form = root_client.get(url).context["form"]
    done = root_client.post(url, {"amount": amount, "unit": "usd"}, follow=True)

    assert form.initial == {"amount": "0.001"}
    assert said in done.text
    assert approval_threshold() == threshold


@pytest.mark.parametrize("amount", ["0", "-1", "x", "99999999999999"])
def test_an_impossible_amount_says_so(root_client: Client, amount: str) -> None:
    answer = root_client.post(reverse("ops:approvals-threshold"), {"amount": amount, "unit": "usd"})

    assert answer.status_code == 422
    assert answer.context["form"].errors["amount"]
    assert approval_threshold() == 500


def test_the_first_quota_of_a_new_person_says_how_else_to_give_it(admin_client: Client) -> None:
    data = {"username": "ann", "group": "default", "amount": "1"}

    answer = admin_client.post(reverse("ops:user-create"), data)

    assert answer.status_code == 422
    assert "More than $0.001 needs the approval of another operator." in answer.text
    assert not User.objects.filter(username="ann").exists()


def test_the_pages_cost_the_same_number_of_queries_however_long(
    admin: User, other_client: Client, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        proposal_of(admin, acts.TopUp(user_id=person.pk, quota=501, memo="m"))
    people = [make_user() for _ in range(5)]
    items = [TopUp(user_id=some.pk, quota=501) for some in people]
    many = proposal_of(admin, acts.TopUpMany(items=items, memo="m"))

    with django_assert_num_queries(5):
        other_client.get(LIST)
    with django_assert_num_queries(5):
        page = other_client.get(url_of("", many)).text

    assert all(some.username in page for some in people)
