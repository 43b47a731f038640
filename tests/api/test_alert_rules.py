"""Rules of alerts through the API: the operators', and everybody's own."""

from typing import Any

import pytest

from accounts.models import AuditEvent, User
from billing.models import Alert, AlertDelivery, AlertDestination, AlertKind, AlertRule
from billing.services.alerts import destinations, rules
from tests.api.conftest import Answer, Program, queries_of
from tests.billing.alerts.making import evaluate, make_rule, own_rule
from tests.factories import NOON, make_admin, make_channel, make_root, make_user

pytestmark = pytest.mark.django_db
NEW = {"name": "low", "kind": "channel_balance_below"}
OWN = {"name": "my quota", "kind": "balance_below", "thresholds": ["5", "1.50"]}
UNKNOWN = 10**15


def make_destination(owner: User | None = None) -> AlertDestination:
    return destinations.add_destination(
        actor=owner, owner=owner, name="the robot", address="feishu://0123-secret-abcd", at=NOON
    )


def ids_of(answer: Answer) -> list[int]:
    assert answer.status == 200
    return [item["id"] for item in answer.body["items"]]


# --- Making -----------------------------------------------------------------------------------


def test_a_name_and_a_kind_are_enough_for_operators(program) -> None:
    admin = make_admin()

    made = program(admin).post("/alert-rules", NEW)

    rule = AlertRule.objects.get()
    assert made.status == 201
    assert made.body == {
        "id": rule.pk,
        "owner": "operators",
        "name": "low",
        "kind": "channel_balance_below",
        "thresholds": ["0", "10"],
        "critical_thresholds": [],
        "scope": "all_channels",
        "channel_id": None,
        "user_id": None,
        "minimum_calls": 20,
        "audience": "operators",
        "is_mailed": True,
        "is_sent_to_webhooks": True,
        "destination_ids": [],
        "tells_recovery": False,
        "quiet_from": None,
        "quiet_until": None,
        "time_zone": "",
        "digest_minutes": 0,
        "digest_at": None,
        "status": "enabled",
        "open_alerts": 0,
        "created_by_id": admin.pk,
        "created_at": made.body["created_at"],
    }


def test_everything_that_is_said_of_a_rule_is_kept(program) -> None:
    channel, robots = make_channel(), [make_destination(), make_destination()]
    said = {
        **NEW,
        "thresholds": ["100", "20.50", "3"],
        "critical_thresholds": ["3.0"],
        "channel_id": channel.pk,
        "is_mailed": False,
        "is_sent_to_webhooks": False,
        "destination_ids": [robot.pk for robot in reversed(robots)],
        "tells_recovery": True,
        "quiet_from": "22:30",
        "quiet_until": "07:00",
        "time_zone": "Asia/Shanghai",
        "digest_minutes": 1440,
        "digest_at": "08:15",
        "minimum_calls": 5,
        "status": "disabled",
    }
    asks = program(make_admin())

    made = asks.post("/alert-rules", said)

    told = {
        **said,
        "thresholds": ["3", "20.5", "100"],
        "critical_thresholds": ["3"],
        "scope": "channel",
        "destination_ids": [robot.pk for robot in robots],
    }
    assert made.status == 201
    assert {name: made.body[name] for name in told} == told
    assert asks.get(f"/alert-rules/{made.body['id']}").body == made.body


def test_what_a_rule_is_about_by_default_follows_from_whom_it_names(program) -> None:
    asks, ann, channel = program(make_admin()), make_user(), make_channel()
    cost = {"name": "cost", "kind": "cost_per_hour"}

    scopes = [
        asks.post("/alert-rules", {**cost, **named}).body["scope"]
        for named in ({}, {"channel_id": channel.pk}, {"user_id": ann.pk}, {"scope": "all_users"})
    ]

    assert scopes == ["all_channels", "channel", "user", "all_users"]


def test_people_make_rules_about_themselves(program) -> None:
    ann = make_user()

    made = program(ann).post("/alert-rules", OWN)

    rule = AlertRule.objects.get()
    assert made.status == 201
    assert (rule.owner, rule.user, rule.scope, rule.audience) == (ann, ann, "user", "user")
    assert (made.body["owner"], made.body["user_id"], made.body["thresholds"]) == (
        "me",
        ann.pk,
        ["1.5", "5"],
    )


def test_operators_have_rules_of_their_own_too(program) -> None:
    admin = make_admin()
    asks = program(admin)

    own = asks.post("/alert-rules", {**OWN, "owner": "me"}).body
    common = asks.post("/alert-rules", {**OWN, "owner": "operators"}).body

    assert (own["owner"], own["user_id"], common["owner"], common["scope"]) == (
        "me",
        admin.pk,
        "operators",
        "all_users",
    )
    assert ids_of(asks.get("/alert-rules")) == ids_of(asks.get("/alert-rules?owner=operators"))
    assert ids_of(asks.get("/alert-rules")) == [common["id"]]
    assert ids_of(asks.get("/alert-rules?owner=me")) == [own["id"]]


def test_what_is_the_operators_is_not_for_users(program) -> None:
    asks = program(make_user())

    refused = [
        asks.post("/alert-rules", {**OWN, "owner": "operators"}),
        *(asks.get(f"/{name}?owner=operators") for name in ("alert-rules", "alert-destinations")),
        *(asks.get(f"/{name}?owner=operators") for name in ("alerts", "alert-deliveries")),
        asks.post(
            "/alert-destinations", {"name": "x", "address": "feishu://0123-abcd", "owner": "operators"}
        ),
    ]

    assert {(answer.status, answer.code) for answer in refused} == {(403, "permission_denied")}
    assert not AlertRule.objects.exists()
    assert not AlertDestination.objects.exists()


def test_a_creation_sent_again_makes_no_second_rule(program) -> None:
    asks = program(make_user())

    first, again = (asks.post("/alert-rules", OWN, Idempotency_Key="1") for _ in range(2))
    other = asks.post("/alert-rules", {**OWN, "name": "other"}, Idempotency_Key="1")

    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert AlertRule.objects.count() == 1


def test_the_fifty_first_rule_is_refused(program, monkeypatch) -> None:
    monkeypatch.setattr(rules, "MOST", 1)
    asks = program(make_user())
    asks.post("/alert-rules", OWN)

    refused = asks.post("/alert-rules", OWN)

    assert (refused.status, refused.code) == (409, "too_many_alert_rules")
    assert program(make_user()).post("/alert-rules", OWN).status == 201


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "name"),
    ({"name": "x" * 65}, "name"),
    ({"name": 5}, "name"),
    ({"thresholds": "5"}, "thresholds"),
    ({"thresholds": [5]}, "thresholds.0"),
    ({"thresholds": ["-5"]}, "thresholds.0"),
    ({"thresholds": ["1e3"]}, "thresholds.0"),
    ({"thresholds": ["NaN"]}, "thresholds.0"),
    ({"thresholds": ["1000000000"]}, "thresholds.0"),
    ({"thresholds": ["0.1234567"]}, "thresholds.0"),
    ({"thresholds": [str(number) for number in range(11)]}, "thresholds"),
    ({"critical_thresholds": ["77"]}, "critical_thresholds"),
    ({"scope": "site"}, "scope"),
    ({"scope": "all_users"}, "scope"),
    ({"scope": "everything"}, "scope"),
    ({"scope": "channel"}, "channel_id"),
    ({"scope": "all_channels", "channel_id": UNKNOWN}, "channel_id"),
    ({"channel_id": 0}, "channel_id"),
    ({"channel_id": 2**63}, "channel_id"),
    ({"channel_id": "1"}, "channel_id"),
    ({"user_id": UNKNOWN}, "user_id"),
    ({"minimum_calls": -1}, "minimum_calls"),
    ({"minimum_calls": 1_000_001}, "minimum_calls"),
    ({"audience": "user"}, "audience"),
    ({"audience": "everybody"}, "audience"),
    ({"is_mailed": "yes"}, "is_mailed"),
    ({"destination_ids": [UNKNOWN]}, "destination_ids"),
    ({"destination_ids": list(range(1, 22))}, "destination_ids"),
    ({"quiet_from": "22:00"}, "quiet_until"),
    ({"quiet_from": "24:00", "quiet_until": "07:00"}, "quiet_from"),
    ({"quiet_from": "22:00", "quiet_until": "7"}, "quiet_until"),
    ({"digest_at": "09:00:00"}, "digest_at"),
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "\0"}, "time_zone"),
    ({"digest_minutes": 7}, "digest_minutes"),
    ({"digest_minutes": -15}, "digest_minutes"),
    ({"digest_minutes": 2880}, "digest_minutes"),
    ({"status": "on"}, "status"),
    ({"evaluated_at": None}, "evaluated_at"),
]


@pytest.mark.parametrize(("wrong", "field"), WRONG)
def test_what_makes_no_sense_is_refused_by_name(program, wrong, field) -> None:
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW)
    before = AlertRule.objects.values().get()
    asks = program(make_admin())

    created = asks.post("/alert-rules", {**NEW, **wrong})
    changed = asks.patch(f"/alert-rules/{rule.pk}", wrong)

    assert (created.status, changed.status) == (422, 422)
    assert created.code == changed.code == "invalid_request"
    assert (created.wrong_fields, changed.wrong_fields) == ([f"body.{field}"], [f"body.{field}"])
    assert AlertRule.objects.values().get() == before


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "odd"}, "kind"),
        ({"kind": None}, "kind"),
        ({"owner": "root"}, "owner"),
        ({"kind": "code_attack", "scope": "all_users"}, "scope"),
    ],
)
def test_a_rule_of_no_kind_or_owner_is_not_made(program, wrong, field) -> None:
    created = program(make_admin()).post("/alert-rules", {**NEW, **wrong})

    assert (created.status, created.wrong_fields) == (422, [f"body.{field}"])
    assert not AlertRule.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "channel_disabled"}, "scope"),
        ({"kind": "audit_failed"}, "scope"),
        ({"scope": "all_users"}, "user_id"),
        ({"audience": "operators"}, "audience"),
        ({"audience": "both"}, "audience"),
    ],
)
def test_ones_own_rules_are_about_oneself_and_tell_oneself(program, wrong, field) -> None:
    refused = program(make_user()).post("/alert-rules", {**OWN, **wrong})

    assert (refused.status, refused.wrong_fields) == (422, [f"body.{field}"])
    assert not AlertRule.objects.exists()


def test_nobody_watches_other_people_by_rules_of_their_own(program) -> None:
    ann, admin = make_user(), make_admin()

    users = program(make_user()).post("/alert-rules", {**OWN, "user_id": ann.pk})
    operators = program(admin).post("/alert-rules", {**OWN, "owner": "me", "user_id": ann.pk})
    made = program(admin).post("/alert-rules", {**OWN, "owner": "me"}).body
    changed = program(admin).patch(f"/alert-rules/{made['id']}", {"user_id": ann.pk})

    for refused in (users, operators, changed):
        assert (refused.status, refused.wrong_fields) == (422, ["body.user_id"])
    assert AlertRule.objects.get().user == admin


def test_which_channels_there_are_is_not_told_to_users(program) -> None:
    channel = make_channel()
    asks = program(make_user())
    made = asks.post("/alert-rules", OWN).body

    there, unknown = (
        [
            asks.post("/alert-rules", {**OWN, "kind": "error_rate", "channel_id": channel_id}),
            asks.post("/alert-rules", {**OWN, "channel_id": channel_id}),
            asks.patch(f"/alert-rules/{made['id']}", {"channel_id": channel_id}),
        ]
        for channel_id in (channel.pk, UNKNOWN)
    )

    assert {answer.status for answer in there} == {422}
    assert [answer.body["errors"] for answer in there] == [answer.body["errors"] for answer in unknown]


def test_a_rule_names_only_destinations_of_its_owner_whoever_asks(program) -> None:
    ann, admin = make_user(), make_admin()
    annes, common = make_destination(ann), make_destination()

    refused = [
        program(make_user()).post("/alert-rules", {**OWN, "destination_ids": [annes.pk]}),
        program(ann).post("/alert-rules", {**OWN, "destination_ids": [annes.pk, common.pk]}),
        program(admin).post("/alert-rules", {**NEW, "destination_ids": [annes.pk]}),
        program(admin).post("/alert-rules", {**OWN, "owner": "me", "destination_ids": [common.pk]}),
    ]
    taken = program(ann).post("/alert-rules", {**OWN, "destination_ids": [annes.pk, annes.pk]})

    assert {answer.status for answer in refused} == {422}
    assert {tuple(answer.wrong_fields) for answer in refused} == {("body.destination_ids",)}
    assert (taken.status, taken.body["destination_ids"]) == (201, [annes.pk])


# --- Changing ---------------------------------------------------------------------------------


def test_a_change_leaves_what_is_not_named(program) -> None:
    channel, robot = make_channel(), make_destination()
    asks = program(make_admin())
    said = {"channel_id": channel.pk, "destination_ids": [robot.pk], "quiet_from": "22:00"}
    made = asks.post("/alert-rules", {**NEW, **said, "quiet_until": "07:00", "thresholds": ["4", "2"]}).body

    changed = asks.patch(f"/alert-rules/{made['id']}", {"name": "renamed", "critical_thresholds": ["2"]})

    assert changed.status == 200
    assert changed.body == {**made, "name": "renamed", "critical_thresholds": ["2"]}


def test_null_clears_what_can_be_missing_and_leaves_the_rest(program) -> None:
    channel, robot = make_channel(), make_destination()
    asks = program(make_admin())
    times = {"quiet_from": "22:00", "quiet_until": "07:00", "digest_at": "08:00"}
    said = {**times, "channel_id": channel.pk, "destination_ids": [robot.pk], "time_zone": "Asia/Shanghai"}
    made = asks.post("/alert-rules", {**NEW, **said}).body
    path = f"/alert-rules/{made['id']}"

    kept = asks.patch(path, dict.fromkeys(("name", "thresholds", "destination_ids", "time_zone", "status")))
    cleared = asks.patch(path, {**dict.fromkeys((*times, "channel_id")), "scope": "all_channels"})

    assert kept.body == made
    assert cleared.body == {
        **made,
        **dict.fromkeys((*times, "channel_id")),
        "scope": "all_channels",
    }


def test_half_of_the_quiet_hours_cannot_be_cleared(program) -> None:
    asks = program(make_user())
    made = asks.post("/alert-rules", {**OWN, "quiet_from": "22:00", "quiet_until": "07:00"}).body

    refused = asks.patch(f"/alert-rules/{made['id']}", {"quiet_from": None})

    assert (refused.status, refused.wrong_fields) == (422, ["body.quiet_until"])


def test_seconds_of_a_quiet_hour_survive_a_change_of_something_else(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW)
    AlertRule.objects.update(quiet_from="22:00:30", quiet_until="07:00:30")

    changed = program(ann).patch(f"/alert-rules/{rule.pk}", {"name": "renamed"})

    assert (changed.body["quiet_from"], changed.body["quiet_until"]) == ("22:00", "07:00")
    assert AlertRule.objects.get().quiet_from.isoformat() == "22:00:30"


def test_a_kind_is_for_ever(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW)

    for sent in ({"kind": "quota_used"}, {"owner": "operators"}):
        refused = program(ann).patch(f"/alert-rules/{rule.pk}", sent)
        assert (refused.status, refused.wrong_fields) == (422, [f"body.{next(iter(sent))}"])
    assert AlertRule.objects.get().kind == "balance_below"


def test_other_thresholds_begin_anew_and_another_name_does_not(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    evaluate()
    asks, path = program(ann), f"/alert-rules/{rule.pk}"

    renamed = asks.patch(path, {"name": "renamed", "is_mailed": False}).body["open_alerts"]
    other = asks.patch(path, {"thresholds": ["2"]}).body["open_alerts"]

    assert (renamed, other) == (1, 0)
    assert AlertRule.objects.get().evaluated_at is None
    assert Alert.objects.get().resolved_at is not None


def test_a_disabled_rule_has_no_alerts_and_stays_as_it_is(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    evaluate()
    asks, path = program(ann), f"/alert-rules/{rule.pk}"
    before = asks.get(path).body

    disabled = asks.patch(path, {"status": "disabled"}).body
    enabled = asks.patch(path, {"status": "enabled"}).body

    assert (before["status"], before["open_alerts"]) == ("enabled", 1)
    assert disabled == {**before, "status": "disabled", "open_alerts": 0}
    assert enabled == {**before, "open_alerts": 0}


def test_a_rule_can_be_disabled_though_its_time_zone_is_known_no_more(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW)
    AlertRule.objects.update(time_zone="Mars/Olympus")

    disabled = program(ann).patch(f"/alert-rules/{rule.pk}", {"status": "disabled"})

    assert (disabled.status, disabled.body["status"]) == (200, "disabled")


def test_an_update_of_an_old_version_is_refused(program) -> None:
    ann = make_user()
    path = f"/alert-rules/{own_rule(ann, AlertKind.BALANCE_BELOW).pk}"
    asks = program(ann)
    etag = asks.get(path).headers["ETag"]

    first = asks.patch(path, {"status": "disabled"}, If_Match=etag)
    second = asks.patch(path, {"name": "second"}, If_Match=etag)
    deleted = asks.delete(path, If_Match=etag)

    assert (first.status, second.status, deleted.status) == (200, 412, 412)
    assert first.headers["ETag"] == asks.get(path).headers["ETag"] != etag
    assert AlertRule.objects.get().name == "rule of balance_below"
    assert asks.delete(path, If_Match=first.headers["ETag"]).status == 204


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"thresholds": ["3"]},
        {"critical_thresholds": ["1"]},
        {"is_mailed": False},
        {"is_sent_to_webhooks": False},
        {"tells_recovery": True},
        {"quiet_from": "22:00", "quiet_until": "07:00"},
        {"time_zone": "Asia/Shanghai"},
        {"digest_minutes": 60},
        {"digest_at": "08:00"},
        {"minimum_calls": 1},
        {"status": "disabled"},
        {"destination_ids": []},
    ],
)
def test_every_setting_is_part_of_the_version(program, change) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1", destinations=[make_destination(ann)])
    asks, path = program(ann), f"/alert-rules/{rule.pk}"
    etag = asks.get(path).headers["ETag"]

    changed = asks.patch(path, change)

    assert changed.status == 200
    assert changed.headers["ETag"] != etag
    assert {name: changed.body[name] for name in change} == change


def test_the_version_stays_while_alerts_come_and_go(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    asks, path = program(ann), f"/alert-rules/{rule.pk}"
    etag = asks.get(path).headers["ETag"]

    evaluate()

    assert asks.get(path).body["open_alerts"] == 1
    assert asks.get(path).headers["ETag"] == etag


def test_a_rule_goes_with_its_alerts_and_their_log(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, "1")
    evaluate()
    asks = program(ann)

    assert AlertDelivery.objects.exists()
    assert asks.delete(f"/alert-rules/{rule.pk}").status == 204
    assert asks.delete(f"/alert-rules/{rule.pk}").status == 404
    for model in (AlertRule, Alert, AlertDelivery):
        assert not model.objects.exists()


def test_what_is_done_to_rules_is_audited_once_for_each(program) -> None:
    admin = make_admin()
    asks = program(admin)
    made = asks.post("/alert-rules", NEW, Idempotency_Key="1").body
    asks.post("/alert-rules", NEW, Idempotency_Key="1")
    path = f"/alert-rules/{made['id']}"
    asks.patch(path, {"tells_recovery": True, "status": "disabled"})
    asks.patch(path, {"tells_recovery": True, "status": "disabled"})
    asks.delete(path)

    events = AuditEvent.objects.filter(actor=admin, subject_type="alert_rule").order_by("pk")
    assert list(events.values_list("action", flat=True)) == [
        "alert_rule.created",
        "alert_rule.updated",
        "alert_rule.status_changed",
        "alert_rule.deleted",
    ]
    assert events[1].changes == {"tells_recovery": {"old": False, "new": True}}


# --- Whose ------------------------------------------------------------------------------------


def operations(rule: int) -> list[tuple[str, str, Any]]:
    return [
        ("GET", "/alert-rules", None),
        ("GET", f"/alert-rules/{rule}", None),
        ("POST", "/alert-rules", OWN),
        ("PATCH", f"/alert-rules/{rule}", {"name": "changed"}),
        ("DELETE", f"/alert-rules/{rule}", None),
    ]


def statuses(asks: Program, rule: int) -> list[int]:
    return [asks.ask(*operation).status for operation in operations(rule)]


def test_a_scope_that_reads_changes_nothing_and_another_does_nothing(program) -> None:
    ann = make_user()
    rule = own_rule(ann, AlertKind.BALANCE_BELOW).pk

    assert statuses(Program(), rule) == [401] * 5
    assert statuses(program(ann, "tokens", "redeem"), rule) == [403] * 5
    assert statuses(program(ann, "read"), rule) == [200, 200, 403, 403, 403]
    assert statuses(program(ann), rule) == [200, 200, 201, 200, 204]


def test_the_rules_of_others_are_not_there(program) -> None:
    annes, common = own_rule(make_user(), AlertKind.BALANCE_BELOW), make_rule(AlertKind.BALANCE_BELOW)
    everybody = [make_user(), make_admin(), make_root()]

    for somebody in everybody:
        assert statuses(program(somebody), annes.pk) == [200, 404, 201, 404, 404]
        assert annes.pk not in ids_of(program(somebody).get("/alert-rules"))
    assert statuses(program(make_user()), common.pk) == [200, 404, 201, 404, 404]
    assert statuses(program(make_user()), UNKNOWN) == [200, 404, 201, 404, 404]
    assert AlertRule.objects.filter(pk__in=(annes.pk, common.pk)).count() == 2
    assert statuses(program(make_admin()), common.pk) == [200, 200, 201, 200, 204]


def test_nobody_below_root_sees_rules_about_root(program) -> None:
    root, admin = make_root(), make_admin()
    made = program(root).post("/alert-rules", {**OWN, "owner": "operators", "user_id": root.pk}).body

    asked = program(admin).post("/alert-rules", {**OWN, "user_id": root.pk})

    assert made["user_id"] == root.pk
    assert (asked.status, asked.wrong_fields) == (422, ["body.user_id"])
    assert program(admin).get(f"/alert-rules/{made['id']}").status == 404
    assert ids_of(program(admin).get("/alert-rules")) == []
    assert ids_of(program(root).get("/alert-rules")) == [made["id"]]


def test_rules_are_paged_newest_first(program) -> None:
    ann = make_user()
    made = [own_rule(ann, AlertKind.BALANCE_BELOW).pk for _ in range(3)]
    asks = program(ann)

    first = asks.get("/alert-rules?limit=2").body
    rest = asks.get(f"/alert-rules?limit=2&cursor={first['next_cursor']}")

    assert [item["id"] for item in first["items"]] == [made[2], made[1]]
    assert (ids_of(rest), rest.body["next_cursor"]) == ([made[0]], None)
    assert ids_of(asks.get("/alert-rules?order=id")) == made


def test_a_list_costs_the_same_number_of_queries_however_long(program) -> None:
    asks = program(make_admin())
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, channel=make_channel(), destinations=[make_destination()])
    short = queries_of(asks, "/alert-rules")
    for _ in range(5):
        make_rule(AlertKind.CHANNEL_BALANCE_BELOW, channel=make_channel(), destinations=[make_destination()])
        make_rule(AlertKind.BALANCE_BELOW, user=make_user())

    assert queries_of(asks, "/alert-rules") == short
