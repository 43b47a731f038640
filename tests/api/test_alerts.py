"""Alerts and their deliveries through the API."""

from typing import Any

import pytest

from accounts.models import User
from billing.models import Alert, AlertDelivery, AlertDestination, AlertKind, AlertRule
from billing.services import accounts
from billing.services.alerts import destinations, rules
from tests.api.conftest import Answer, Program, queries_of
from tests.billing.alerts.making import MINUTE, USD, evaluate, make_rule, own_rule, snapshot, top_up
from tests.factories import NOON, make_admin, make_channel, make_root, make_user

pytestmark = pytest.mark.django_db
UNKNOWN = 10**15


def make_destination(owner: User | None = None) -> AlertDestination:
    return destinations.add_destination(
        actor=owner, owner=owner, name="the robot", address="feishu://0123-secret-abcd", at=NOON
    )


def alert_of(rule: AlertRule) -> Alert:
    """The only one that a rule raises now."""
    evaluate()
    return Alert.objects.get(rule=rule)


def ids_of(answer: Answer) -> list[int]:
    assert answer.status == 200
    return [item["id"] for item in answer.body["items"]]


# --- Alerts -----------------------------------------------------------------------------------


def test_an_alert_is_told_exactly(program) -> None:
    channel = make_channel(name="深度求索")
    rule = make_rule(
        AlertKind.CHANNEL_BALANCE_BELOW, "10", "0.50", critical_thresholds=["0.5"], channel=channel
    )
    snapshot(channel, "0.25", currency="CNY")
    evaluate()
    asks = program(make_admin())

    critical, warning = sorted(asks.get("/alerts").body["items"], key=lambda item: item["severity"])

    alert = Alert.objects.get(severity="critical")
    assert critical == {
        "id": alert.pk,
        "key": str(alert.key),
        "owner": "operators",
        "rule_id": rule.pk,
        "rule_name": "rule of channel_balance_below",
        "kind": "channel_balance_below",
        "severity": "critical",
        "subject_type": "channel",
        "subject_id": channel.pk,
        "subject_name": "深度求索",
        "user_id": None,
        "threshold": "0.5",
        "value": "0.25",
        "resolved_value": None,
        "unit": "currency",
        "headline": "Channel “深度求索” has 0.25 CNY left with its provider",
        "facts": {"currency": "CNY"},
        "raised_at": "2026-03-02T12:00:00.000000Z",
        "resolved_at": None,
    }
    assert (warning["severity"], warning["threshold"]) == ("warning", "10")
    assert asks.get(f"/alerts/{alert.pk}").body == critical


def test_an_alert_that_is_over_says_since_when_and_at_what_value(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    alert = alert_of(rule)
    top_up(ann, 100 * USD)
    evaluate(NOON + MINUTE)

    over = program(ann).get(f"/alerts/{alert.pk}").body

    assert (over["owner"], over["user_id"], over["subject_type"]) == ("me", ann.pk, "user")
    assert (over["value"], over["resolved_value"], over["unit"]) == ("0", "100", "usd")
    assert (over["raised_at"], over["resolved_at"]) == (
        "2026-03-02T12:00:00.000000Z",
        "2026-03-02T12:01:00.000000Z",
    )


def test_an_alert_that_nobody_looks_at_any_more_has_no_last_value(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    alert = alert_of(rule)
    rules.set_rule_status(actor=ann, rule=rule, is_enabled=False, at=NOON + MINUTE)

    over = program(ann).get(f"/alerts/{alert.pk}").body

    assert (over["resolved_at"], over["resolved_value"]) == ("2026-03-02T12:01:00.000000Z", None)


def test_an_alert_of_the_installation_has_no_other_subject(program) -> None:
    rule = make_rule(AlertKind.BACKLOG)
    Alert.objects.create(
        rule=rule,
        subject_type="site",
        subject_id=0,
        subject_name="",
        threshold=1,
        episode=1,
        severity="critical",
        value=3,
        raised_at=NOON,
    )

    [item] = program(make_admin()).get("/alerts").body["items"]

    assert (item["subject_type"], item["subject_id"], item["user_id"]) == ("site", 0, None)
    assert (item["unit"], item["value"]) == ("count", "3")


def test_what_happened_is_said_in_the_callers_language(program) -> None:
    ann = make_user()
    alert = alert_of(own_rule(ann, AlertKind.BALANCE_BELOW, "1"))
    asks = program(ann)

    english = asks.get(f"/alerts/{alert.pk}", Accept_Language="en").body["headline"]
    chinese = asks.get(f"/alerts/{alert.pk}", Accept_Language="zh-hans").body["headline"]

    assert english == f"{ann.username} has $0.0000 of quota left"
    assert not chinese.isascii()


def test_alerts_are_narrowed_and_paged(program) -> None:
    ann, bob = make_user(), make_user()
    of_ann, of_bob = (make_rule(AlertKind.BALANCE_BELOW, "1", "2", user=user) for user in (ann, bob))
    evaluate()
    top_up(bob, 100 * USD)
    evaluate(NOON + MINUTE)
    everything = list(Alert.objects.order_by("-pk").values_list("pk", flat=True))
    annes = list(Alert.objects.filter(user=ann).order_by("-pk").values_list("pk", flat=True))
    asks = program(make_admin())

    first = asks.get("/alerts?limit=3")
    rest = asks.get(f"/alerts?limit=3&cursor={first.body['next_cursor']}")

    assert ids_of(first) + ids_of(rest) == everything
    assert rest.body["next_cursor"] is None
    assert ids_of(asks.get("/alerts?state=all&order=id")) == everything[::-1]
    assert ids_of(asks.get("/alerts?state=open")) == annes
    assert ids_of(asks.get(f"/alerts?rule_id={of_ann.pk}")) == annes
    assert ids_of(asks.get(f"/alerts?state=open&rule_id={of_bob.pk}")) == []
    assert ids_of(asks.get(f"/alerts?rule_id={UNKNOWN}")) == []


@pytest.mark.parametrize(
    "query",
    ["state=closed", "rule_id=0", "rule_id=x", f"rule_id={2**63}", "owner=root", "limit=0", "cursor=-1"],
)
def test_a_question_that_makes_no_sense_is_refused(program, query) -> None:
    refused = program(make_admin()).get(f"/alerts?{query}")

    assert (refused.status, refused.wrong_fields) == (422, [f"query.{query.partition('=')[0]}"])


# --- Whose ------------------------------------------------------------------------------------


def test_people_see_what_they_are_told_of_their_own_quota_and_nothing_else(program) -> None:
    ann, bob = make_user(), make_user()
    own = alert_of(own_rule(ann, AlertKind.BALANCE_BELOW, "1"))
    both = alert_of(make_rule(AlertKind.BALANCE_BELOW, "1", user=ann, audience="both"))
    silent = alert_of(make_rule(AlertKind.BALANCE_BELOW, "1", user=ann))
    bobs = alert_of(own_rule(bob, AlertKind.BALANCE_BELOW, "1"))

    for asks in (program(ann), program(ann, "read")):
        assert ids_of(asks.get("/alerts")) == ids_of(asks.get("/alerts?owner=me")) == [both.pk, own.pk]
        assert ids_of(asks.get(f"/alerts?rule_id={both.rule_id}")) == [both.pk]
        assert ids_of(asks.get(f"/alerts?rule_id={silent.rule_id}")) == []
        found = [asks.get(f"/alerts/{alert.pk}").status for alert in (own, both, silent, bobs)]
        assert found == [200, 200, 404, 404]
    assert program(ann).get(f"/alerts/{both.pk}").body["owner"] == "operators"


def test_operators_see_what_their_rules_raised_and_what_is_told_to_themselves(program) -> None:
    ann, admin = make_user(), make_admin()
    common = alert_of(make_rule(AlertKind.BALANCE_BELOW, "1", user=ann, audience="user"))
    annes = alert_of(own_rule(ann, AlertKind.BALANCE_BELOW, "1"))
    own = alert_of(own_rule(admin, AlertKind.BALANCE_BELOW, "1"))
    asks = program(admin)

    assert ids_of(asks.get("/alerts")) == ids_of(asks.get("/alerts?owner=operators")) == [common.pk]
    assert ids_of(asks.get("/alerts?owner=me")) == [own.pk]
    found = [asks.get(f"/alerts/{alert.pk}").status for alert in (common, own, annes)]
    assert found == [200, 200, 404]
    assert asks.get(f"/alerts/{annes.pk}/deliveries").status == 404


def test_nobody_below_root_sees_alerts_about_root(program) -> None:
    root, admin, ann = make_root(), make_admin(), make_user()
    rule = make_rule(AlertKind.BALANCE_BELOW, "1")
    evaluate()
    for user in (root, ann):
        accounts.top_up(actor=root, user=user, quota=5, at=NOON)
    evaluate(NOON + MINUTE)
    of_root, of_ann = (Alert.objects.get(rule=rule, user=user) for user in (root, ann))
    asks = program(admin)

    assert ids_of(program(root).get(f"/alerts?rule_id={rule.pk}&order=id")) == sorted([of_root.pk, of_ann.pk])
    assert ids_of(asks.get("/alerts")) == [of_ann.pk]
    assert asks.get(f"/alerts/{of_root.pk}").status == 404
    assert asks.get(f"/alerts/{of_root.pk}/deliveries").status == 404
    told = {item["alert_id"] for item in asks.get("/alert-deliveries").body["items"]}
    assert told == {of_ann.pk}


def test_administrators_see_alerts_about_themselves_and_each_other(program) -> None:
    admin, other = make_admin(), make_admin()
    mine, theirs = (alert_of(make_rule(AlertKind.BALANCE_BELOW, "1", user=user)) for user in (admin, other))

    assert ids_of(program(admin).get("/alerts")) == [theirs.pk, mine.pk]


def paths(alert: int) -> tuple[str, ...]:
    return ("/alerts", f"/alerts/{alert}", f"/alerts/{alert}/deliveries", "/alert-deliveries")


def test_a_scope_that_reads_is_enough_and_another_is_not(program) -> None:
    ann = make_user()
    alert = alert_of(own_rule(ann, AlertKind.BALANCE_BELOW, "1"))

    def statuses(asks: Program, alert_id: int) -> list[int]:
        return [asks.get(path).status for path in paths(alert_id)]

    assert statuses(Program(), alert.pk) == [401] * 4
    assert statuses(program(ann, "tokens", "redeem"), alert.pk) == [403] * 4
    assert statuses(program(ann, "read"), alert.pk) == [200] * 4
    assert statuses(program(ann), UNKNOWN) == [200, 404, 404, 200]
    assert statuses(program(make_root()), alert.pk) == [200, 404, 404, 200]


# --- Deliveries -------------------------------------------------------------------------------


def test_a_delivery_is_told_exactly_and_its_address_is_not(program) -> None:
    admin, robot = make_admin(), make_destination()
    alert = alert_of(make_rule(AlertKind.BALANCE_BELOW, "1", user=make_user(), destinations=[robot]))
    asks = program(admin)

    answer = asks.get(f"/alerts/{alert.pk}/deliveries?order=id")

    mail, message = AlertDelivery.objects.order_by("pk")
    told: dict[str, Any] = {
        "alert_id": alert.pk,
        "event": "raised",
        "message_id": None,
        "status": "pending",
        "attempts": 0,
        "next_attempt_at": "2026-03-02T12:00:00.000000Z",
        "error": "",
        "created_at": "2026-03-02T12:00:00.000000Z",
        "delivered_at": None,
    }
    mailed = {
        "user_id": admin.pk,
        "username": admin.username,
        "destination_id": None,
        "destination_name": None,
    }
    sent = {"user_id": None, "username": None, "destination_id": robot.pk, "destination_name": "the robot"}
    assert answer.body["items"] == [{**told, **mailed, "id": mail.pk}, {**told, **sent, "id": message.pk}]
    assert asks.get("/alert-deliveries?order=id").body == answer.body
    assert "secret" not in str(answer.body)


def test_people_see_of_an_operators_alert_only_what_went_to_themselves(program) -> None:
    make_admin()
    ann, robot = make_user(), make_destination()
    rule = make_rule(AlertKind.BALANCE_BELOW, "1", user=ann, audience="both", destinations=[robot])
    path = f"/alerts/{alert_of(rule).pk}/deliveries"

    told = [item["user_id"] for item in program(ann).get(path).body["items"]]

    assert told == [ann.pk]
    assert len(ids_of(program(make_admin(email="")).get(path))) == 3
    assert ids_of(program(ann).get("/alert-deliveries")) == []


def test_the_log_of_deliveries_is_narrowed_paged_and_everybodys_own(program) -> None:
    admin, ann = make_admin(), make_user()
    make_rule(AlertKind.BALANCE_BELOW, "1", "2", "3", user=ann)
    own_rule(ann, AlertKind.BALANCE_BELOW, "1", destinations=[make_destination(ann)])
    evaluate()
    common = list(AlertDelivery.objects.filter(owner=None).order_by("-pk").values_list("pk", flat=True))
    annes = list(AlertDelivery.objects.filter(owner=ann).order_by("-pk").values_list("pk", flat=True))
    AlertDelivery.objects.filter(pk=common[1]).update(status="delivered", next_attempt_at=None)
    asks = program(admin)

    first = asks.get("/alert-deliveries?limit=2")
    rest = asks.get(f"/alert-deliveries?limit=2&cursor={first.body['next_cursor']}")

    assert (len(common), len(annes)) == (3, 2)
    assert ids_of(first) + ids_of(rest) == common
    assert ids_of(asks.get("/alert-deliveries?status=delivered")) == [common[1]]
    assert ids_of(asks.get("/alert-deliveries?status=pending")) == [common[0], common[2]]
    assert ids_of(asks.get("/alert-deliveries?owner=me")) == []
    assert ids_of(program(ann).get("/alert-deliveries")) == annes
    assert ids_of(program(ann).get("/alert-deliveries?status=failed")) == []
    assert asks.get("/alert-deliveries?status=odd").status == 422


def test_lists_cost_the_same_number_of_queries_however_long(program) -> None:
    admin = make_admin()
    asks = program(admin)

    def ask_for_lists(alert: int) -> list[int]:
        return [queries_of(asks, path) for path in paths(alert)]

    make_rule(
        AlertKind.BALANCE_BELOW, "1", user=make_user(), audience="both", destinations=[make_destination()]
    )
    evaluate()
    alert = Alert.objects.get()
    short = ask_for_lists(alert.pk)
    for _ in range(5):
        make_rule(
            AlertKind.BALANCE_BELOW,
            *("1", "2", "3"),
            user=make_user(),
            audience="both",
            destinations=[make_destination()],
        )
        make_admin()
    evaluate()

    assert Alert.objects.count() == 16
    assert ask_for_lists(alert.pk) == short
