"""What people are told of their own quota, and what they say of that."""

from collections.abc import Iterator
from datetime import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import DjangoAssertNumQueries
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.models import Alert, AlertAudience, AlertDestination, AlertKind, AlertRule
from billing.services.alerts import rules
from billing.services.alerts.destinations import add_destination
from tests.billing.alerts.making import evaluate, make_rule, own_rule
from tests.factories import NOON, make_user
from tests.portal.conftest import HTMX
from tests.support.chat_services import ChatServices
from tests.support.looks import LOOKS

URL = "/settings/alerts/"
NEW = f"{URL}rules/new/"
SECRET = "0123-secret-abcd"
ENTERED = {"kind": "balance_below", "thresholds": "20 5", "digest_minutes": "0", "is_mailed": "on"}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def make_destination(owner: User, name: str = "my phone") -> AlertDestination:
    return add_destination(actor=owner, owner=owner, name=name, address=f"feishu://{SECRET}", at=NOON)


def shown(client: Client, **filters: str) -> list[int]:
    return [line.alert.pk for line in client.get(URL, filters).context["lines"]]


# --- Rules ------------------------------------------------------------------------------------


def test_one_click_makes_the_rule_that_is_suggested(console: Client, ann: User) -> None:
    suggestion = console.get(URL).text

    answer = console.post(reverse("portal:alerts-first-rule"), follow=True)

    rule = AlertRule.objects.get()
    assert "Tell me when 80 % of my quota is used" in suggestion
    assert (rule.owner, rule.user, rule.kind, rule.thresholds) == (ann, ann, "quota_used", ["80"])
    assert (rule.audience, rule.is_mailed) == (AlertAudience.USER, True)
    assert "≥ 80 %" in answer.text
    assert "Tell me when" not in answer.text


def test_a_second_click_makes_no_second_rule(console: Client, ann: User) -> None:
    for _ in range(2):
        console.post(reverse("portal:alerts-first-rule"))

    assert AlertRule.objects.count() == 1


def test_people_choose_among_what_can_be_said_of_their_own_quota(console: Client) -> None:
    form = console.get(NEW, {"kind": "cost_per_hour"}).context["form"]
    groups = dict(form.fields["kind"].choices)
    kinds = [value for group in groups.values() if isinstance(group, list) for value, _label in group]

    assert set(kinds) == {
        "quota_used",
        "token_limit_used",
        "balance_below",
        "forecast_below",
        "cost_per_hour",
    }
    assert not {"scope", "channel", "user", "audience", "is_sent_to_webhooks"} & set(form.fields)


def test_a_rule_of_ones_own_concerns_oneself_whatever_is_sent(console: Client, ann: User) -> None:
    robot, other = make_destination(ann), make_user()
    said = {"scope": "all_users", "user": other.username, "audience": "operators", "owner": other.pk}

    answer = console.post(NEW, {**ENTERED, **said, "destinations": [robot.pk]}, follow=True)

    rule = AlertRule.objects.get()
    assert (rule.owner, rule.user, rule.scope, rule.audience) == (ann, ann, "user", "user")
    assert (rule.name, rule.thresholds) == ("Quota left", ["5", "20"])
    assert list(rule.destinations.all()) == [robot]
    assert "≤ $20" in answer.text
    assert "e-mail, my phone" in answer.text


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"kind": "drift"}, "kind", "Select a valid choice"),
        ({"kind": ""}, "kind", "required"),
        ({"thresholds": "1,000"}, "thresholds", "without commas"),
        ({"thresholds": ""}, "thresholds", "required"),
        ({"critical_thresholds": "7"}, "critical_thresholds", "Choose from the thresholds of the rule."),
        ({"quiet_until": "07:00"}, "quiet_until", "Enter both"),
        ({"time_zone": "x"}, "time_zone", "Enter a time zone"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_reason_beside_the_field(
    console: Client, fields: dict[str, str], name: str, reason: str
) -> None:
    answer = console.post(NEW, {**ENTERED, **fields})

    errors = answer.context["form"].errors
    assert (answer.status_code, list(errors)) == (422, [name])
    assert reason in " ".join(errors[name])
    assert reason in answer.text
    assert not AlertRule.objects.exists()


def test_choosing_another_kind_shows_its_usual_thresholds(console: Client) -> None:
    answer = console.post(NEW, {**ENTERED, "shown": "balance_below", "kind": "quota_used"}, headers=HTMX)

    assert answer.status_code == 200
    assert answer.context["form"]["thresholds"].value() == "80 95 100"
    assert not AlertRule.objects.exists()


def test_a_rule_is_changed_switched_off_and_deleted(console: Client, ann: User) -> None:
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    args = [rule.pk]

    console.post(
        reverse("portal:alerts-rule-edit", args=args),
        {**ENTERED, "name": "low", "quiet_from": "22:00", "quiet_until": "08:00"},
    )
    changed = AlertRule.objects.get()
    console.post(reverse("portal:alerts-rule-status", args=args), {"is_enabled": "0"})
    is_enabled = AlertRule.objects.get().is_enabled
    answer = console.post(reverse("portal:alerts-rule-delete", args=args), follow=True)

    assert (changed.name, changed.thresholds, changed.quiet_from) == ("low", ["5", "20"], time(22))
    assert not is_enabled
    assert "The rule “low” was deleted." in answer.text
    assert not AlertRule.objects.exists()


def test_a_rule_too_many_is_refused_with_what_to_do(
    console: Client, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST", 1)
    own_rule(ann, AlertKind.BALANCE_BELOW, "1")

    created, first = (
        console.post(NEW, ENTERED),
        console.post(reverse("portal:alerts-first-rule"), headers=HTMX),
    )

    assert created.status_code == 422
    assert "There are 1 rules already." in created.text
    assert "There are 1 rules already." in first.headers["HX-Trigger"]


# --- Alerts -----------------------------------------------------------------------------------


def test_people_see_what_their_own_rules_and_the_operators_tell_them(console: Client, ann: User) -> None:
    own_rule(ann, AlertKind.BALANCE_BELOW, "50", name="mine")
    make_rule(AlertKind.BALANCE_BELOW, "40", user=ann, audience=AlertAudience.USER, name="for you")
    make_rule(AlertKind.BALANCE_BELOW, "30", user=ann, name="only for operators")
    own_rule(make_user(), AlertKind.BALANCE_BELOW, "50", name="of somebody else")
    evaluate()

    text = console.get(URL).text

    assert [line.alert.rule.name for line in console.get(URL).context["lines"]] == ["for you", "mine"]
    assert "ann has $10.00 of quota left" in text
    assert "only for operators" not in text
    assert "of somebody else" not in text


def test_those_that_are_over_are_shown_on_demand(console: Client, ann: User) -> None:
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "50")
    evaluate()
    [alert] = Alert.objects.all()
    rules.set_rule_status(actor=ann, rule=rule, is_enabled=False, at=NOON)

    assert shown(console) == []
    assert shown(console, state="all") == [alert.pk]


def test_the_list_goes_on_page_by_page(console: Client, ann: User) -> None:
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "50")
    Alert.objects.bulk_create(
        Alert(
            rule=rule,
            user=ann,
            owner=ann,
            subject_type="user",
            subject_id=ann.pk,
            subject_name="ann",
            threshold=50,
            value=1,
            episode=number,
            raised_at=NOON,
        )
        for number in range(1, 22)
    )
    newest = list(Alert.objects.order_by("-pk").values_list("pk", flat=True))
    cursor = console.get(URL).context["next_cursor"]

    assert shown(console) == newest[:20]
    assert shown(console, cursor=cursor) == newest[20:]


def test_an_alert_says_what_to_do_and_names_no_other_receiver(console: Client, ann: User) -> None:
    make_user(role="admin", username="the-operator")
    robot = make_destination(ann)
    own_rule(ann, AlertKind.BALANCE_BELOW, "50", destinations=[robot])
    make_rule(AlertKind.BALANCE_BELOW, "40", user=ann, audience=AlertAudience.BOTH, name="for you")
    evaluate()
    own, for_both = (Alert.objects.get(threshold=threshold) for threshold in (50, 40))

    mine, both = (console.get(f"{URL}{alert.pk}/").text for alert in (own, for_both))

    assert [line.pending for line in console.get(URL).context["lines"]] == [1, 2]
    assert "Redeem a code or ask an operator for quota" in mine
    assert "You, by e-mail" in mine
    assert "my phone" in mine
    assert both.count("You, by e-mail") == 1
    assert "the-operator" not in both
    assert reverse("portal:alerts-rule-edit", args=[own.rule_id]) in mine
    assert "/rules/" not in both


def test_an_alert_of_somebody_else_or_for_operators_is_not_found(console: Client, ann: User) -> None:
    own_rule(make_user(), AlertKind.BALANCE_BELOW, "50")
    make_rule(AlertKind.BALANCE_BELOW, "40", user=ann)
    evaluate()

    answers = [console.get(f"{URL}{alert.pk}/") for alert in Alert.objects.all()]

    assert [answer.status_code for answer in answers] == [404, 404]


@pytest.mark.parametrize("name", ["rule-edit", "rule-status", "rule-delete"])
@pytest.mark.parametrize("is_operators", [True, False])
def test_another_rule_is_not_found_and_stays(console: Client, name: str, is_operators: bool) -> None:
    theirs = (
        make_rule(AlertKind.BALANCE_BELOW, "9")
        if is_operators
        else own_rule(make_user(), AlertKind.BALANCE_BELOW, "9")
    )

    answer = console.post(reverse(f"portal:alerts-{name}", args=[theirs.pk]), ENTERED)

    theirs.refresh_from_db()
    assert answer.status_code == 404
    assert (theirs.thresholds, theirs.is_enabled) == (["9"], True)


# --- Where it is sent -------------------------------------------------------------------------


def test_without_an_address_the_page_says_where_to_enter_one(console: Client, ann: User) -> None:
    with_address = console.get(URL).text
    User.objects.filter(pk=ann.pk).update(email="")

    without, form = console.get(URL).text, console.get(NEW, {"kind": "quota_used"}).text

    assert "You have no e-mail address" not in with_address
    assert "You have no e-mail address" in without
    assert reverse("account_email") in without
    assert "You have no e-mail address yet" in form


def test_a_destination_is_added_tested_and_removed(console: Client, ann: User, chats: ChatServices) -> None:
    said = {"name": "my phone", "address": f"feishu://{SECRET}", "language": "en"}
    added = console.post(f"{URL}destinations/new/", said, follow=True)
    destination = AlertDestination.objects.get()

    tested = console.post(reverse("portal:alerts-destination-test", args=[destination.pk]), follow=True)
    removed = console.post(reverse("portal:alerts-destination-delete", args=[destination.pk]), follow=True)

    assert destination.owner == ann
    assert "my phone took the test." in tested.text
    assert "Test arrived" in tested.text
    assert "This is a test." in chats.received[0][1]
    assert "my phone was removed." in removed.text
    assert [SECRET in page.text for page in (added, tested, removed)] == [False] * 3
    assert not AlertDestination.objects.exists()


def test_a_test_that_fails_says_why(console: Client, ann: User, chats: ChatServices) -> None:
    chats.status = 500
    url = reverse("portal:alerts-destination-test", args=[make_destination(ann).pk])

    answer = console.post(url, headers=HTMX)

    assert "The test did not arrive" in answer.headers["HX-Trigger"]
    assert "Test failed" in console.get(URL).text


def test_an_address_that_cannot_be_is_refused_and_not_repeated(console: Client) -> None:
    said = {"name": "x", "address": f"json://127.0.0.1/{SECRET}", "language": "en"}

    answer = console.post(f"{URL}destinations/new/", said)

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["address"]
    assert SECRET not in answer.text
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["test", "delete"])
def test_another_destination_is_not_found_and_stays(console: Client, name: str) -> None:
    operators = add_destination(actor=None, owner=None, name="o", address=f"feishu://{SECRET}", at=NOON)
    others = make_destination(make_user())

    answers = [
        console.post(reverse(f"portal:alerts-destination-{name}", args=[one.pk]))
        for one in (operators, others)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert AlertDestination.objects.filter(tested_at=None).count() == 2


def test_destinations_of_others_are_not_offered(console: Client) -> None:
    theirs = make_destination(make_user(), "theirs")

    answer = console.post(NEW, {**ENTERED, "destinations": [theirs.pk]})

    assert answer.status_code == 422
    assert "theirs" not in console.get(NEW, {"kind": "quota_used"}).text
    assert "theirs" not in console.get(URL).text


def test_the_page_costs_the_same_number_of_queries_however_long(
    console: Client, ann: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def make_more() -> None:
        own_rule(ann, AlertKind.BALANCE_BELOW, "50", destinations=[make_destination(ann)])
        evaluate()

    def open_page() -> None:
        with django_assert_num_queries(8):
            console.get(URL)

    make_more()
    open_page()
    for _ in range(4):
        make_more()
    open_page()


# --- In the browser ---------------------------------------------------------------------------


@pytest.fixture
def view(
    page: Page, context: BrowserContext, live_server: LiveServer, transactional_db: None
) -> Iterator[Page]:
    """A page of a signed-in person; afterwards nothing may have been blocked or have failed in it."""
    client = Client()
    client.force_login(make_user(username="ann", balance=5_000_000))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert [text for text in complaints if "422" not in text] == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_suggestion_becomes_a_rule_that_can_be_changed(view: Page, live_server: LiveServer) -> None:
    view.goto(f"{live_server.url}{URL}")
    view.get_by_role("button", name="Tell me when 80 % of my quota is used").click()
    expect(view.locator("#list").get_by_text("≥ 80 %").filter(visible=True)).to_be_visible()
    view.locator("#list").get_by_role("link", name="Quota used").click()
    panel = view.locator("#slideover")
    panel.get_by_label("Thresholds").fill("60 90")
    panel.get_by_label("Of these critical").fill("95")
    panel.get_by_role("button", name="Save").click()
    expect(panel.get_by_text("Choose from the thresholds of the rule.")).to_be_visible()
    panel.get_by_label("Of these critical").fill("90")
    panel.get_by_role("button", name="Save").click()

    expect(view.locator("#list").get_by_text("≥ 90 % · critical").filter(visible=True)).to_be_visible()
    assert AlertRule.objects.get().thresholds == ["60", "90"]


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, width: int, scheme: str
) -> None:
    ann = User.objects.get(username="ann")
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    view.goto(f"{live_server.url}{URL}")
    assert Axe().run(view, options=WCAG).response["violations"] == []
    rule = own_rule(
        ann,
        AlertKind.BALANCE_BELOW,
        *("50", "100", "12345.678"),
        name="A rule with a name that is as long as names can be, or nearly so",
        destinations=[
            make_destination(ann, "A group with a name that is as long as names can be, nearly so")
        ],
    )
    evaluate()
    alert = Alert.objects.order_by("pk")[0]

    for path in (
        URL,
        f"{URL}{alert.pk}/",
        f"{NEW}?kind=quota_used",
        f"{URL}rules/{rule.pk}/edit/",
        f"{URL}destinations/new/",
    ):
        view.goto(f"{live_server.url}{path}")
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(path, one["id"], one["nodes"][0]["html"]) for one in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, path
