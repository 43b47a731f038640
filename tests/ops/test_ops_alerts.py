"""The operators' pages of alerts: what is open, the rules, where it is sent, and what became of that."""

import re
from collections.abc import Callable, Iterator
from datetime import time, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.forms import BaseForm
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import DjangoAssertNumQueries
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.models import (
    Alert,
    AlertAudience,
    AlertDelivery,
    AlertDestination,
    AlertKind,
    AlertRule,
    Channel,
    WebhookEvent,
)
from billing.services.alerts import rules
from billing.services.alerts.destinations import add_destination
from billing.services.alerts.usual import create_usual_rules
from billing.services.channels import delete_channel
from tests.billing.alerts.making import HOUR, evaluate, make_rule, own_rule, snapshot, spend, top_up
from tests.factories import NOON, make_admin, make_channel, make_root, make_user, make_webhook
from tests.support.chat_services import ChatServices
from tests.support.looks import LOOKS

HTMX = {"HX-Request": "true"}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
ALERTS, RULES = "/ops/alerts/", "/ops/alerts/rules/"
NEW, DESTINATIONS = f"{RULES}new/", "/ops/alerts/destinations/"
SECRET = "0123-secret-abcd"
ENTERED = {
    "kind": "channel_limit_used",
    "thresholds": "80 95",
    "scope": "all_channels",
    "digest_minutes": "0",
}


def make_destination(name: str = "ops room", *, owner: User | None = None) -> AlertDestination:
    return add_destination(actor=owner, owner=owner, name=name, address=f"feishu://{SECRET}", at=NOON)


def low_channel(name: str = "upstream", left: str = "5") -> Channel:
    channel = make_channel(name=name)
    snapshot(channel, left)
    return channel


def add_alerts(rule: AlertRule, count: int) -> None:
    Alert.objects.bulk_create(
        Alert(
            rule=rule,
            subject_type="channel",
            subject_id=number,
            subject_name=f"channel {number}",
            threshold=10,
            value=5,
            episode=1,
            raised_at=NOON,
        )
        for number in range(1000, 1000 + count)
    )


def rows(text: str, of: str = "alert") -> list[int]:
    return [int(pk) for pk in re.findall(rf'<tr id="{of}-(\d+)"', text)]


def as_sent(form: BaseForm) -> dict[str, Any]:
    """What a browser sends of a form that nobody touched."""
    values = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in values.items() if value is not None and value is not False}


def rule_url(name: str, rule: AlertRule) -> str:
    return reverse(f"ops:alert-rule-{name}", args=[rule.pk])


# --- The list ---------------------------------------------------------------------------------


def test_without_rules_the_page_offers_the_usual_ones(admin_client: Client) -> None:
    before = admin_client.get(ALERTS).text

    answer = admin_client.post(reverse("ops:alert-rules-usual"), follow=True)

    assert "No rules yet" in before
    assert "6 rules were added." in answer.text
    assert "Add the usual rules" not in answer.text
    assert AlertRule.objects.filter(owner=None).count() == 6
    assert "All quiet" in admin_client.get(ALERTS).text


def test_the_usual_rules_are_offered_as_long_as_a_kind_of_them_is_missing(
    admin_client: Client, admin: User
) -> None:
    create_usual_rules(actor=admin, at=NOON)
    complete = admin_client.get(RULES).text
    rules.delete_rule(actor=admin, rule=AlertRule.objects.get(kind="drift"))

    assert "Add the usual rules" not in complete
    assert "Add the usual rules" in admin_client.get(RULES).text


def test_open_alerts_are_shown_and_those_that_are_over_on_demand(admin_client: Client) -> None:
    channel = low_channel()
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", "6")
    evaluate()
    snapshot(channel, "8")
    evaluate(NOON + HOUR)
    ten, six = Alert.objects.order_by("-threshold")

    shown, everything = admin_client.get(ALERTS).text, admin_client.get(ALERTS, {"state": "all"}).text

    assert rows(shown) == [ten.pk]
    assert rows(everything) == sorted([ten.pk, six.pk], reverse=True)
    assert "lasted 1\xa0hour" in everything
    assert rows(admin_client.get(ALERTS, {"rule": str(rule.pk + 1)}).text) == []
    assert rows(admin_client.get(ALERTS, {"rule": str(rule.pk)}).text) == [ten.pk]
    assert rows(admin_client.get(ALERTS, {"rule": "none"}).text) == [ten.pk]


def test_a_row_says_what_it_is_about_and_how_it_was_told(admin_client: Client, admin: User) -> None:
    channel = low_channel()
    make_rule(
        AlertKind.CHANNEL_BALANCE_BELOW,
        "10",
        critical_thresholds=("10",),
        destinations=[make_destination()],
    )
    evaluate()
    AlertDelivery.objects.filter(destination__isnull=False).update(status="failed", next_attempt_at=None)

    text = admin_client.get(ALERTS).text

    assert "Channel “upstream” has 5.00 left with its provider" in text.replace(" USD", "")
    assert f'href="{reverse("ops:channel-edit", args=[channel.pk])}"' in text
    assert "Critical" in text
    assert "10.00" in text
    assert "1 failed" in text
    assert "1 pending" in text


def test_a_channel_that_was_deleted_is_named_without_a_link(admin_client: Client) -> None:
    channel = low_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    url = reverse("ops:channel-edit", args=[channel.pk])
    before = admin_client.get(ALERTS).text

    delete_channel(actor=make_root(), channel=channel)

    after = admin_client.get(ALERTS).text
    assert url in before
    assert "upstream" in after
    assert url not in after


def test_a_person_who_was_deleted_is_named_without_a_link(admin_client: Client, person: User) -> None:
    make_rule(AlertKind.BALANCE_BELOW, "1", user=person)
    evaluate()
    before = admin_client.get(ALERTS).context["lines"]

    User.objects.filter(pk=person.pk).update(status="deleted")

    after = admin_client.get(ALERTS)
    assert [line.url for line in before] == [f"/ops/users/{person.pk}/"]
    assert [line.url for line in after.context["lines"]] == [""]
    assert person.username in after.text


def test_roots_affairs_are_not_shown_to_an_administrator(
    admin_client: Client, root_client: Client, root: User
) -> None:
    rule = make_rule(AlertKind.BALANCE_BELOW, "1", user=root, name="of root")
    evaluate()
    [alert] = Alert.objects.all()
    pages = [ALERTS, RULES, f"{ALERTS}deliveries/"]
    one = [f"{ALERTS}{alert.pk}/", rule_url("edit", rule)]

    def shown(client: Client) -> list[bool]:
        return ["of root" in client.get(url).text for url in pages]

    assert (shown(admin_client), shown(root_client)) == ([False] * 3, [True] * 3)
    assert [admin_client.get(url).status_code for url in one] == [404, 404]
    assert [root_client.get(url).status_code for url in one] == [200, 200]
    assert [client.get("/ops/").context["open_alerts"] for client in (admin_client, root_client)] == [0, 1]


def test_the_list_goes_on_page_by_page(admin_client: Client) -> None:
    add_alerts(make_rule(AlertKind.CHANNEL_BALANCE_BELOW), 51)
    newest = list(Alert.objects.order_by("-pk").values_list("pk", flat=True))

    first = admin_client.get(ALERTS)
    second = admin_client.get(ALERTS, {"cursor": first.context["next_cursor"]})

    assert rows(first.text) == newest[:50]
    assert rows(second.text) == newest[50:]
    assert "every 30s" in first.text
    assert "every 30s" not in second.text


def test_an_alert_says_what_to_do_and_who_was_told(admin_client: Client, admin: User) -> None:
    low_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", destinations=[make_destination()])
    evaluate()
    AlertDelivery.objects.filter(destination__isnull=False).update(
        status="failed", attempts=10, next_attempt_at=None, error="the robot was removed"
    )
    [alert] = Alert.objects.all()

    text = admin_client.get(f"{ALERTS}{alert.pk}/").text

    assert "Recharge the account with the provider" in text
    assert admin.username in text
    assert "ops room" in text
    assert "the robot was removed" in text
    assert "10 attempts" in text


def test_an_alert_that_is_over_says_for_how_long_and_gives_no_advice(admin_client: Client) -> None:
    channel = low_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    snapshot(channel, "500")
    evaluate(NOON + 2 * HOUR)
    [alert] = Alert.objects.all()

    text = admin_client.get(f"{ALERTS}{alert.pk}/").text

    assert "after 2\xa0hours" in text
    assert "500.00" in text
    assert "What to do" not in text


# --- What people watch for themselves ---------------------------------------------------------


@pytest.mark.parametrize("name", ["edit", "status", "delete"])
def test_a_persons_own_rule_is_not_found(root_client: Client, person: User, name: str) -> None:
    rule = own_rule(person, AlertKind.QUOTA_USED, "80")

    answer = root_client.post(rule_url(name, rule), {**ENTERED, "kind": "quota_used"})

    assert answer.status_code == 404
    kept = AlertRule.objects.get()
    assert (kept.thresholds, kept.is_enabled) == (["80"], True)


@pytest.mark.parametrize("name", ["test", "delete"])
def test_a_persons_own_destination_is_not_found(root_client: Client, person: User, name: str) -> None:
    destination = make_destination(owner=person)

    answer = root_client.post(reverse(f"ops:alert-destination-{name}", args=[destination.pk]))

    assert answer.status_code == 404
    assert AlertDestination.objects.get().tested_at is None


def test_a_persons_own_alert_is_on_no_page_of_operators(root_client: Client, person: User) -> None:
    own_rule(
        person, AlertKind.BALANCE_BELOW, "1", destinations=[make_destination("mine alone", owner=person)]
    )
    evaluate()
    [alert] = Alert.objects.all()

    pages = [
        root_client.get(url).text for url in (ALERTS, RULES, DESTINATIONS, f"{ALERTS}deliveries/", "/ops/")
    ]

    assert root_client.get(f"{ALERTS}{alert.pk}/").status_code == 404
    assert [person.username in page or "mine alone" in page for page in pages[:4]] == [False] * 4
    assert root_client.get("/ops/").context["open_alerts"] == 0


# --- Rules ------------------------------------------------------------------------------------


def test_the_kind_comes_first(admin_client: Client) -> None:
    asked, chosen = admin_client.get(NEW), admin_client.get(NEW, {"kind": "error_rate"})

    assert list(asked.context["form"].fields) == ["kind"]
    assert {"thresholds", "scope", "channel", "minimum_calls"} <= set(chosen.context["form"].fields)
    assert chosen.context["form"]["thresholds"].value() == "5"


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("error_rate", {"minimum_calls", "channel"}, {"user", "audience", "is_critical"}),
        ("quota_used", {"user", "audience"}, {"channel", "minimum_calls"}),
        ("cost_per_hour", {"user", "audience", "channel"}, {"minimum_calls"}),
        ("channel_disabled", {"is_critical", "channel"}, {"thresholds", "critical_thresholds", "audience"}),
        ("audit_failed", {"is_critical"}, {"scope", "channel", "user", "audience", "thresholds"}),
    ],
)
def test_a_form_has_the_fields_of_its_kind(
    admin_client: Client, kind: str, there: set[str], absent: set[str]
) -> None:
    fields = set(admin_client.get(NEW, {"kind": kind}).context["form"].fields)

    assert there <= fields
    assert not absent & fields


def test_choosing_another_kind_shows_its_fields_and_keeps_what_still_holds(admin_client: Client) -> None:
    robot = make_destination()
    said = {
        **ENTERED,
        "name": "mine",
        "shown": "channel_limit_used",
        "quiet_from": "22:00",
        "time_zone": "Asia/Tokyo",
    }

    answer = admin_client.post(
        NEW, {**said, "kind": "cost_per_hour", "destinations": [robot.pk]}, headers=HTMX
    )

    form = answer.context["form"]
    assert (answer.status_code, form.errors) == (200, {})
    assert not AlertRule.objects.exists()
    assert form["thresholds"].value() == "10"
    assert (form["name"].value(), form["quiet_from"].value(), form["time_zone"].value()) == (
        "mine",
        "22:00",
        "Asia/Tokyo",
    )
    assert [form["is_mailed"].value(), form["destinations"].value()] == [False, [str(robot.pk)]]
    assert form["scope"].value() == "all_channels"


def test_a_scope_that_another_kind_does_not_have_is_not_kept(admin_client: Client) -> None:
    said = {**ENTERED, "shown": "channel_limit_used", "kind": "quota_used"}

    form = admin_client.post(NEW, said).context["form"]

    assert form["scope"].value() == "all_users"


@pytest.mark.parametrize("kind", AlertKind.values)
def test_what_the_form_of_a_kind_begins_with_is_a_rule(admin_client: Client, kind: str) -> None:
    form = admin_client.get(NEW, {"kind": kind}).context["form"]
    said = as_sent(form)

    answer = admin_client.post(NEW, {**said, "shown": kind})

    assert answer.status_code == 302
    rule = AlertRule.objects.get()
    assert (rule.kind, rule.name) == (kind, AlertKind(kind).label)
    assert (rule.is_mailed, rule.is_sent_to_webhooks, rule.tells_recovery) == (True, True, True)


def test_a_rule_says_everything_that_was_entered(admin_client: Client, admin: User, person: User) -> None:
    robot = make_destination()
    said = {
        "kind": "quota_used",
        "shown": "quota_used",
        "name": "the big customer",
        "thresholds": "95%, 80 %；100",
        "critical_thresholds": "100",
        "scope": "user",
        "user": person.username.upper(),
        "audience": "both",
        "is_mailed": "on",
        "destinations": [robot.pk],
        "quiet_from": "22:00",
        "quiet_until": "07:30",
        "time_zone": "Asia/Shanghai",
        "digest_minutes": "1440",
        "digest_at": "08:15",
    }

    answer = admin_client.post(NEW, said, follow=True)

    rule = AlertRule.objects.get()
    assert (rule.name, rule.kind, rule.scope, rule.user) == ("the big customer", "quota_used", "user", person)
    assert (rule.thresholds, rule.critical_thresholds) == (["80", "95", "100"], ["100"])
    assert (rule.audience, rule.is_mailed, rule.is_sent_to_webhooks) == (AlertAudience.BOTH, True, False)
    assert list(rule.destinations.all()) == [robot]
    assert (rule.quiet_from, rule.quiet_until, rule.time_zone) == (time(22), time(7, 30), "Asia/Shanghai")
    assert (rule.digest_minutes, rule.digest_at, rule.tells_recovery) == (1440, time(8, 15), False)
    assert (rule.created_by, rule.owner) == (admin, None)
    assert "quiet from 22:00 to 07:30 (Asia/Shanghai)" in answer.text
    assert "together every day at 08:15" in answer.text
    assert "≥ 100 % · critical" in answer.text
    assert "e-mail, ops room" in answer.text


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"kind": ""}, "kind", "required"),
        ({"kind": "weather"}, "kind", "Select a valid choice"),
        ({"thresholds": ""}, "thresholds", "required"),
        ({"thresholds": "eighty"}, "thresholds", "Enter numbers such as 80 or 0.5"),
        ({"thresholds": "-5"}, "thresholds", "Enter numbers such as 80 or 0.5"),
        ({"thresholds": "0.0000001"}, "thresholds", "at most six decimals"),
        ({"thresholds": "1 2 3 4 5 6 7 8 9 10 11"}, "thresholds", "at most 10 thresholds"),
        ({"critical_thresholds": "90"}, "critical_thresholds", "Choose from the thresholds of the rule."),
        ({"critical_thresholds": "x"}, "critical_thresholds", "Enter numbers such as 80 or 0.5"),
        ({"kind": "channel_balance_below", "thresholds": "1,000"}, "thresholds", "without commas"),
        ({"scope": "site"}, "scope", "Select a valid choice"),
        ({"scope": "channel"}, "channel", "required"),
        ({"scope": "channel", "channel": "99"}, "channel", "Select a valid choice"),
        ({"kind": "quota_used", "scope": "user", "audience": "user"}, "user", "required"),
        (
            {"kind": "quota_used", "scope": "user", "audience": "user", "user": "nobody"},
            "user",
            "There is no user of this name.",
        ),
        (
            {"kind": "quota_used", "scope": "all_users", "audience": "all"},
            "audience",
            "Select a valid choice",
        ),
        ({"kind": "error_rate", "minimum_calls": "-1"}, "minimum_calls", "greater than or equal to 0"),
        ({"kind": "error_rate", "minimum_calls": ""}, "minimum_calls", "required"),
        ({"destinations": ["99"]}, "destinations", "Select a valid choice"),
        ({"quiet_from": "22:00"}, "quiet_until", "Enter both the beginning and the end"),
        ({"quiet_from": "25:00"}, "quiet_from", "Enter a valid time."),
        ({"time_zone": "Mars/Base"}, "time_zone", "Enter a time zone such as Asia/Shanghai."),
        ({"digest_minutes": "7"}, "digest_minutes", "Select a valid choice"),
        ({"name": "x" * 65}, "name", "at most 64 characters"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_reason_beside_the_field(
    admin_client: Client, fields: dict[str, Any], name: str, reason: str
) -> None:
    answer = admin_client.post(NEW, {**ENTERED, **fields})

    errors = answer.context["form"].errors
    assert answer.status_code == 422
    assert list(errors) == [name]
    assert reason in " ".join(errors[name])
    assert reason in answer.text
    assert not AlertRule.objects.exists()


def test_what_belongs_to_another_choice_is_left_out(admin_client: Client, person: User) -> None:
    channel = make_channel()
    said = {
        **ENTERED,
        "kind": "cost_per_hour",
        "scope": "all_channels",
        "channel": channel.pk,
        "user": person.username,
        "audience": "both",
        "digest_minutes": "60",
        "digest_at": "08:15",
    }

    admin_client.post(NEW, said)

    rule = AlertRule.objects.get()
    assert (rule.channel, rule.user, rule.audience, rule.digest_at) == (None, None, "operators", None)


def test_an_administrator_makes_no_rule_about_whom_they_may_not_see(admin_client: Client, root: User) -> None:
    said = {"kind": "quota_used", "scope": "user", "audience": "user", "user": root.username}

    answer = admin_client.post(NEW, {**ENTERED, **said})

    assert "There is no user of this name." in answer.text
    assert not AlertRule.objects.exists()


def test_destinations_of_people_are_not_offered(admin_client: Client, person: User) -> None:
    theirs = make_destination("theirs", owner=person)

    answer = admin_client.post(NEW, {**ENTERED, "destinations": [theirs.pk]})

    assert answer.status_code == 422
    assert "theirs" not in admin_client.get(NEW, {"kind": "drift"}).text


def test_a_rule_too_many_is_refused_with_what_to_do(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST", 1)
    make_rule(AlertKind.DRIFT)

    created, usual = (
        admin_client.post(NEW, ENTERED),
        admin_client.post(reverse("ops:alert-rules-usual"), headers=HTMX),
    )

    assert created.status_code == 422
    assert "There are 1 rules already. Delete one" in created.text
    assert "There are 1 rules already." in usual.headers["HX-Trigger"]


def test_an_edit_keeps_the_kind_and_begins_anew_where_thresholds_change(admin_client: Client) -> None:
    low_channel()
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", digest_minutes=30)
    evaluate()
    shown = admin_client.get(rule_url("edit", rule))

    answer = admin_client.post(
        rule_url("edit", rule), {**ENTERED, "thresholds": "3", "name": "low", "digest_minutes": "30"}
    )

    rule.refresh_from_db()
    assert "the alerts that are open are over" in shown.text
    assert "kind" not in shown.context["form"].fields
    assert shown.context["form"]["digest_minutes"].value() == 30
    assert answer.status_code == 302
    assert (rule.kind, rule.name, rule.thresholds, rule.digest_minutes) == (
        "channel_balance_below",
        "low",
        ["3"],
        30,
    )
    assert not Alert.objects.filter(resolved_at__isnull=True).exists()


def test_an_edit_that_makes_no_sense_is_refused_and_changes_nothing(admin_client: Client) -> None:
    rule = make_rule(AlertKind.CHANNEL_LIMIT_USED, "80")

    answer = admin_client.post(rule_url("edit", rule), {**ENTERED, "name": "new", "quiet_until": "07:00"})

    rule.refresh_from_db()
    assert answer.status_code == 422
    assert "Enter both the beginning and the end" in answer.text
    assert rule.name != "new"


def test_an_edit_begins_with_what_the_rule_says(admin_client: Client, person: User) -> None:
    robot = make_destination()
    rule = make_rule(
        AlertKind.QUOTA_USED,
        "80",
        "100",
        critical_thresholds=("100",),
        user=person,
        audience=AlertAudience.BOTH,
        is_mailed=False,
        destinations=[robot],
        quiet_from=time(22),
        quiet_until=time(7),
    )
    form = admin_client.get(rule_url("edit", rule)).context["form"]
    said = as_sent(form)
    before = AlertRule.objects.values().get()

    admin_client.post(rule_url("edit", rule), said)

    assert AlertRule.objects.values().get() == before
    assert list(rule.destinations.all()) == [robot]


def test_a_rule_is_disabled_and_enabled(admin_client: Client) -> None:
    rule = make_rule(AlertKind.DRIFT)

    admin_client.post(rule_url("status", rule), {"is_enabled": "0"})
    disabled = admin_client.get(RULES).text
    answer = admin_client.post(rule_url("status", rule), {"is_enabled": "1"}, headers=HTMX)

    assert 'aria-checked="false"' in disabled
    assert AlertRule.objects.get().is_enabled
    assert "list-changed" in answer.headers["HX-Trigger"]


def test_deleting_asks_with_what_is_lost(admin_client: Client) -> None:
    low_channel()
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    question = admin_client.get(RULES).text

    answer = admin_client.post(rule_url("delete", rule), follow=True)

    assert "with all its alerts, of which 1 is open, and the log of who was told?" in question
    assert "was deleted." in answer.text
    assert not AlertRule.objects.exists()


def test_a_rule_that_tells_nobody_says_so(admin_client: Client) -> None:
    make_rule(AlertKind.DRIFT, is_mailed=False, is_sent_to_webhooks=False)

    assert "tells nobody" in admin_client.get(RULES).text


# --- Destinations -----------------------------------------------------------------------------


def test_an_address_is_in_no_page_after_it_was_entered(admin_client: Client, admin: User) -> None:
    said = {
        "name": "ops room",
        "address": f"https://open.feishu.cn/open-apis/bot/v2/hook/{SECRET}",
        "language": "zh-hans",
    }

    refused = admin_client.post(f"{DESTINATIONS}new/", {**said, "name": ""})
    answer = admin_client.post(f"{DESTINATIONS}new/", said, follow=True)

    destination = AlertDestination.objects.get()
    assert destination.get_address() == f"feishu://{SECRET}"
    assert (destination.name, destination.language, destination.created_by) == ("ops room", "zh-hans", admin)
    assert "feishu://…abcd" in answer.text
    pages = [refused, answer, *(admin_client.get(url) for url in (RULES, NEW, f"{NEW}?kind=drift", ALERTS))]
    assert [SECRET in page.text for page in pages] == [False] * 6
    assert refused.status_code == 422
    assert "no-store" in refused.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"name": ""}, "name", "required"),
        ({"address": ""}, "address", "required"),
        ({"address": "json://127.0.0.1/"}, "address", "Enter the address of a robot"),
        ({"address": f"feishu://{SECRET}?template=/etc/passwd"}, "address", "Enter the address of a robot"),
        ({"language": "fr"}, "language", "Select a valid choice"),
    ],
)
def test_a_destination_that_cannot_be_is_refused_with_the_reason(
    admin_client: Client, fields: dict[str, str], name: str, reason: str
) -> None:
    said = {"name": "robot", "address": f"feishu://{SECRET}", "language": "en"}

    answer = admin_client.post(f"{DESTINATIONS}new/", {**said, **fields})

    errors = answer.context["form"].errors
    assert (answer.status_code, list(errors)) == (422, [name])
    assert reason in " ".join(errors[name])
    assert SECRET not in answer.text
    assert not AlertDestination.objects.exists()


def test_a_test_arrives_and_the_row_says_so(admin_client: Client, chats: ChatServices) -> None:
    destination = make_destination()
    url = reverse("ops:alert-destination-test", args=[destination.pk])
    before = admin_client.get(DESTINATIONS).text

    answer = admin_client.post(url, headers=HTMX)

    [(_path, body)] = chats.received
    assert "This is a test." in body
    assert "ops room took the test." in answer.headers["HX-Trigger"]
    assert "list-changed" in answer.headers["HX-Trigger"]
    assert "Not tested yet" in before
    assert "Test arrived" in admin_client.get(DESTINATIONS).text


def test_a_test_that_fails_says_why_in_the_toast_and_in_the_row(
    admin_client: Client, chats: ChatServices
) -> None:
    chats.status = 500
    url = reverse("ops:alert-destination-test", args=[make_destination().pk])

    htmx, plain = admin_client.post(url, headers=HTMX), admin_client.post(url, follow=True)

    assert "The test did not arrive" in htmx.headers["HX-Trigger"]
    assert "The test did not arrive" in plain.text
    assert "Test failed" in plain.text
    assert [SECRET in text for text in (htmx.headers["HX-Trigger"], plain.text)] == [False, False]


def test_removing_a_destination_names_the_rules_that_use_it(admin_client: Client) -> None:
    used, unused = make_destination("used"), make_destination("unused")
    make_rule(AlertKind.DRIFT, name="drifting", destinations=[used])
    text = admin_client.get(DESTINATIONS).text

    admin_client.post(reverse("ops:alert-destination-delete", args=[used.pk]))

    assert "Remove used? These rules send nothing there any more: drifting." in text
    assert "Remove unused? No rule uses it." in text
    assert AlertDestination.objects.get() == unused


def test_the_page_says_who_gets_mail_and_which_webhooks_are_told(admin_client: Client, admin: User) -> None:
    make_webhook(events=[WebhookEvent.ALERT_RAISED])
    make_webhook(events=[WebhookEvent.CODE_REDEEMED])
    text = admin_client.get(DESTINATIONS).text
    User.objects.update(email="")

    without = admin_client.get(DESTINATIONS).text

    assert "1 operator has an e-mail address" in text
    assert "1 webhook</a> is told" in text
    assert "No operator has an e-mail address" in without


# --- The log ----------------------------------------------------------------------------------


@pytest.fixture
def log(admin: User) -> list[AlertDelivery]:
    """Three deliveries: one pending, one delivered and one failed."""
    low_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", "8", "6")
    evaluate()
    _pending, delivered, failed = AlertDelivery.objects.order_by("pk")
    AlertDelivery.objects.filter(pk=delivered.pk).update(
        status="delivered", next_attempt_at=None, delivered_at=NOON, attempts=1
    )
    AlertDelivery.objects.filter(pk=failed.pk).update(
        status="failed", next_attempt_at=None, attempts=10, error="no such mailbox"
    )
    return list(AlertDelivery.objects.order_by("-pk"))


def test_the_log_is_filtered_by_status_and_leads_to_the_alert(
    admin_client: Client, log: list[AlertDelivery]
) -> None:
    url = f"{ALERTS}deliveries/"

    everything, failed = admin_client.get(url).text, admin_client.get(url, {"status": "failed"}).text

    assert rows(everything, "delivery") == [delivery.pk for delivery in log]
    assert rows(failed, "delivery") == [log[0].pk]
    assert "no such mailbox" in failed
    assert f'href="{ALERTS}{log[0].alert_id}/"' in failed
    assert "every 15s" in everything
    assert "every 15s" not in failed


def test_the_log_goes_on_page_by_page(admin_client: Client, admin: User) -> None:
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW)
    add_alerts(rule, 51)
    AlertDelivery.objects.bulk_create(
        AlertDelivery(alert=alert, event="raised", user=admin, next_attempt_at=NOON, created_at=NOON)
        for alert in Alert.objects.all()
    )
    newest = list(AlertDelivery.objects.order_by("-pk").values_list("pk", flat=True))

    first = admin_client.get(f"{ALERTS}deliveries/")
    second = admin_client.get(f"{ALERTS}deliveries/", {"cursor": first.context["next_cursor"]})

    assert rows(first.text, "delivery") == newest[:50]
    assert rows(second.text, "delivery") == newest[50:]


# --- What it costs ----------------------------------------------------------------------------


def test_the_lists_cost_the_same_number_of_queries_however_long(
    admin_client: Client, admin: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def make_more() -> None:
        channel, user = low_channel(), make_user(balance=500)
        make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", channel=channel, destinations=[make_destination()])
        make_rule(AlertKind.BALANCE_BELOW, "10", user=user)
        evaluate()

    def open_pages() -> None:
        for url, count in ((ALERTS, 7), (RULES, 5), (DESTINATIONS, 6), (f"{ALERTS}deliveries/", 6)):
            with django_assert_num_queries(count):
                assert admin_client.get(url).status_code == 200

    make_more()
    open_pages()
    for _ in range(4):
        make_more()
    open_pages()


# --- On the dashboard -------------------------------------------------------------------------


def test_the_dashboard_says_that_all_is_quiet_or_what_is_open(admin_client: Client) -> None:
    quiet = admin_client.get("/ops/").text
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW)
    add_alerts(rule, 7)
    Alert.objects.filter(subject_id=1006).update(resolved_at=NOON)

    answer = admin_client.get("/ops/")

    assert "All quiet" in quiet
    assert answer.context["open_alerts"] == 6
    assert [line.alert.subject_id for line in answer.context["alerts"]] == [1005, 1004, 1003, 1002, 1001]
    assert "Channel “channel 1005” has 5.00 left with its provider" in answer.text
    assert "6 are open" in answer.text


def test_the_dashboard_counts_no_further_than_a_thousand(admin_client: Client) -> None:
    add_alerts(make_rule(AlertKind.CHANNEL_BALANCE_BELOW), 999)
    below = admin_client.get("/ops/").text
    add_alerts(make_rule(AlertKind.CHANNEL_BALANCE_BELOW), 2)

    answer = admin_client.get("/ops/")

    assert "999 are open" in below
    assert answer.context["open_alerts"] == 1000
    assert "999+ are open" in answer.text


# --- In the browser ---------------------------------------------------------------------------


@pytest.fixture
def sign_in(live_server: LiveServer, transactional_db: None) -> Callable[[BrowserContext], None]:
    def _sign_in(context: BrowserContext) -> None:
        client = Client()
        client.force_login(make_admin(username="ann"))
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])

    return _sign_in


@pytest.fixture
def view(page: Page, context: BrowserContext, sign_in: Callable[[BrowserContext], None]) -> Iterator[Page]:
    """A page of a signed-in administrator; afterwards nothing may have been blocked or have failed in it."""
    sign_in(context)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert [text for text in complaints if "422" not in text] == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_rule_is_made_from_the_page_and_what_it_tells_stands_in_the_list(
    view: Page, live_server: LiveServer, chats: ChatServices
) -> None:
    low_channel()
    view.goto(f"{live_server.url}{DESTINATIONS}")
    view.get_by_role("link", name="Add the first one").click()
    panel = view.locator("#slideover")
    panel.get_by_label("Name").fill("ops room")
    panel.get_by_label("Address", exact=True).fill(f"feishu://{SECRET}")
    panel.get_by_role("button", name="Add destination").click()
    view.get_by_role("button", name="Send a test to ops room").click()
    expect(view.get_by_text("ops room took the test.")).to_be_visible()
    expect(view.locator("#list").get_by_text("Test arrived").filter(visible=True)).to_be_visible()
    assert len(chats.received) == 1

    view.goto(f"{live_server.url}{RULES}")
    view.get_by_role("link", name="Make your own").click()
    expect(panel.get_by_label("What to watch")).to_be_focused()
    panel.get_by_label("What to watch").select_option("error_rate")
    expect(panel.get_by_label("Least number of calls")).to_be_visible()
    panel.get_by_label("Name").fill("the accounts")
    panel.get_by_label("ops room (Feishu)").check()
    panel.get_by_label("What to watch").select_option("channel_balance_below")
    expect(panel.get_by_label("Least number of calls")).to_have_count(0)
    expect(panel.get_by_label("Thresholds")).to_have_value("10 0")
    expect(panel.get_by_label("Name")).to_have_value("the accounts")
    expect(panel.get_by_label("ops room (Feishu)")).to_be_checked()
    expect(panel.get_by_label("Channel", exact=True)).to_be_hidden()
    panel.get_by_label("One channel").check()
    panel.get_by_role("button", name="Create rule").click()
    expect(panel.get_by_text("This field is required.")).to_be_visible()
    panel.get_by_label("Channel", exact=True).select_option(label="upstream")
    panel.get_by_role("button", name="Create rule").click()
    expect(view.locator("#list").get_by_text("≤ 10").filter(visible=True)).to_be_visible()

    evaluate()

    view.goto(f"{live_server.url}{ALERTS}")
    view.get_by_role("link", name="Channel “upstream” has 5.00").click()
    expect(panel.get_by_text("Recharge the account with the provider")).to_be_visible()
    expect(panel.get_by_text("ops room")).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_rule_is_switched_off_and_deleted_after_a_question(view: Page, live_server: LiveServer) -> None:
    rule = make_rule(AlertKind.DRIFT, name="drifting")
    view.goto(f"{live_server.url}{RULES}")
    switch = view.get_by_role("switch", name="drifting: enabled")
    expect(switch).to_be_checked()
    switch.click()
    expect(view.get_by_role("switch", name="drifting: enabled")).not_to_be_checked()
    expect(view.get_by_role("switch", name="drifting: enabled")).to_be_focused()
    rule.refresh_from_db()
    assert not rule.is_enabled
    view.get_by_role("button", name="Actions for drifting").click()
    view.get_by_role("button", name="Delete").click()
    expect(view.get_by_role("dialog")).to_contain_text("What is pending is never sent.")
    view.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(view.get_by_text("No rules yet")).to_be_visible()
    assert not AlertRule.objects.exists()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.browser_context_args(java_script_enabled=False)
def test_without_scripts_a_rule_is_made_in_two_steps(
    page: Page, context: BrowserContext, sign_in: Callable[[BrowserContext], None], live_server: LiveServer
) -> None:
    sign_in(context)
    page.goto(f"{live_server.url}{NEW}")
    page.get_by_label("What to watch").select_option("quota_used")
    page.get_by_role("button", name="Show its fields").click()
    page.get_by_label("Thresholds").fill("70, 90")
    page.get_by_role("button", name="Create rule").click()

    expect(page.get_by_text("≥ 70 %").filter(visible=True)).to_be_visible()
    assert AlertRule.objects.get().thresholds == ["70", "90"]


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, width: int, scheme: str
) -> None:
    long = "A channel with a name that is as long as names can be, nearly"
    channel, person = low_channel(long), make_user(username="a-user-with-a-really-long-name-for-a-user")
    top_up(person, 500_000)
    robot = make_destination("A group with a name that is as long as names can be, nearly so")
    rule = make_rule(
        AlertKind.CHANNEL_BALANCE_BELOW,
        *("10", "100", "1000", "10000", "123456.789"),
        critical_thresholds=("10",),
        name="A rule with a name that is as long as names can be, or nearly so",
        channel=channel,
        destinations=[robot],
        quiet_from=time(22),
        quiet_until=time(7),
        digest_minutes=60,
    )
    make_rule(AlertKind.QUOTA_USED, "80", user=person, audience=AlertAudience.BOTH)
    spend(person, 450_000, channel=channel)
    evaluate()
    AlertDelivery.objects.filter(destination=robot).update(
        status="failed",
        next_attempt_at=None,
        attempts=10,
        error="Failed to send Feishu notification: " + "x" * 180,
    )
    AlertDestination.objects.update(tested_at=NOON + timedelta(days=1), test_error="y" * 200)
    alert = Alert.objects.order_by("pk")[0]
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})

    for path in (
        ALERTS,
        f"{ALERTS}{alert.pk}/",
        RULES,
        NEW,
        f"{NEW}?kind=cost_per_hour",
        f"{RULES}{rule.pk}/edit/",
        DESTINATIONS,
        f"{DESTINATIONS}new/",
        f"{ALERTS}deliveries/",
        "/ops/",
    ):
        view.goto(f"{live_server.url}{path}")
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(path, one["id"], one["nodes"][0]["html"]) for one in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, path
