"""What rules may say, whose they are, and that changes are audited."""

from datetime import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import AuditEvent
from accounts.services.permissions import PermissionDeniedError
from billing.models import AlertDestination, AlertKind, AlertRule
from billing.services.alerts import destinations, rules
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.rules import RuleSettings
from tests.billing.alerts.making import make_rule, own_rule
from tests.factories import NOON, make_admin, make_channel, make_user

pytestmark = pytest.mark.django_db
SAID = {"name": "a rule", "kind": "balance_below", "scope": "all_users"}


def refusals(**fields: Any) -> list[str]:
    """The names of what is wrong."""
    owner = fields.pop("owner", None)
    with pytest.raises(ValidationError) as refused:
        rules.create_rule(actor=owner, owner=owner, settings=RuleSettings(**{**SAID, **fields}), at=NOON)
    assert not AlertRule.objects.exists()
    return list(refused.value.message_dict)


def feishu(owner: Any = None) -> AlertDestination:
    return destinations.add_destination(
        actor=owner, owner=owner, name="robot", address="feishu://0123-secret", at=NOON
    )


def test_thresholds_are_kept_in_their_order_once_and_in_one_way_of_writing() -> None:
    rule = make_rule(AlertKind.BALANCE_BELOW, "10", "0.50", "1e1", "0", critical_thresholds=["0.0", "0.5"])

    assert rule.thresholds == ["0", "0.5", "10"]
    assert rule.critical_thresholds == ["0", "0.5"]


def test_a_rule_without_thresholds_has_the_usual_ones() -> None:
    assert make_rule(AlertKind.QUOTA_USED).thresholds == ["80", "95", "100"]
    assert make_rule(AlertKind.CHANNEL_DISABLED, "5").thresholds == ["1"]


def test_every_kind_can_be_made_with_each_of_its_scopes() -> None:
    channel, user = make_channel(), make_user()

    for kind, known in KINDS.items():
        for scope in known.scopes:
            make_rule(
                kind,
                scope=scope,
                **({"channel": channel} if scope == "channel" else {}),
                **({"user": user} if scope == "user" else {}),
            )

    assert set(AlertRule.objects.values_list("kind", flat=True)) == set(AlertKind.values)


@pytest.mark.parametrize("number", ["", "x", "-1", "NaN", "Infinity", "1e9", "0.0000001"])
def test_what_is_no_threshold_is_refused(number: str) -> None:
    assert refusals(thresholds=[number]) == ["thresholds"]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"kind": "nonsense"}, ["kind"]),
        ({"scope": "all_channels"}, ["scope"]),
        ({"scope": "user"}, ["user"]),
        ({"kind": "drift", "scope": "channel"}, ["channel"]),
        ({"kind": "drift", "scope": "all_channels", "audience": "user"}, ["audience"]),
        ({"name": ""}, ["name"]),
        ({"audience": "everybody"}, ["audience"]),
        ({"quiet_from": time(22)}, ["quiet_until"]),
        ({"time_zone": "Mars/Olympus"}, ["time_zone"]),
        ({"digest_minutes": 7}, ["digest_minutes"]),
        ({"digest_minutes": -60}, ["digest_minutes"]),
        ({"digest_minutes": 2880}, ["digest_minutes"]),
        ({"thresholds": [str(number) for number in range(11)]}, ["thresholds"]),
        ({"thresholds": ["5"], "critical_thresholds": ["6"]}, ["critical_thresholds"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], names: list[str]) -> None:
    assert refusals(**fields) == names


def test_a_rule_of_ones_own_is_about_oneself_and_tells_oneself() -> None:
    ann, bob = make_user(), make_user()
    own = {"owner": ann, "scope": "user"}

    assert refusals(**own, user=bob, audience="user") == ["user"]
    assert refusals(**own, user=ann, audience="both") == ["audience"]
    assert refusals(owner=ann, scope="all_users", audience="user") == ["user"]
    assert refusals(**own, user=ann, audience="user", destinations=[feishu(bob)]) == ["destinations"]
    assert refusals(**own, user=ann, audience="user", destinations=[feishu()]) == ["destinations"]
    assert refusals(destinations=[feishu(ann)]) == ["destinations"]


def test_the_database_keeps_own_rules_to_their_owners() -> None:
    ann = make_user()
    own_rule(ann, AlertKind.BALANCE_BELOW)

    for fields in ({"audience": "both"}, {"user": make_user()}, {"scope": "all_users", "user": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            AlertRule.objects.update(**fields)


def test_nobody_changes_what_is_not_theirs() -> None:
    ann, bob, admin = make_user(), make_user(), make_admin()
    own, common = own_rule(ann, AlertKind.BALANCE_BELOW), make_rule(AlertKind.DRIFT)

    for actor, rule in ((bob, own), (admin, own), (ann, common)):
        said = RuleSettings(name="x", kind=rule.kind, scope=rule.scope, user=rule.user)
        with pytest.raises(PermissionDeniedError):
            rules.update_rule(actor=actor, rule=rule, settings=said, at=NOON)
        with pytest.raises(PermissionDeniedError):
            rules.set_rule_status(actor=actor, rule=rule, is_enabled=False, at=NOON)
        with pytest.raises(PermissionDeniedError):
            rules.delete_rule(actor=actor, rule=rule)
    with pytest.raises(PermissionDeniedError):
        rules.create_rule(actor=ann, settings=RuleSettings(**SAID), at=NOON)
    with pytest.raises(PermissionDeniedError):
        rules.create_rule(actor=bob, owner=ann, settings=RuleSettings(**SAID), at=NOON)


def test_there_are_at_most_fifty_of_one_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 2)
    ann = make_user()
    for _number in range(2):
        own_rule(ann, AlertKind.BALANCE_BELOW)

    with pytest.raises(rules.TooManyRulesError):
        own_rule(ann, AlertKind.BALANCE_BELOW)
    assert make_rule(AlertKind.BALANCE_BELOW)


def test_a_rule_keeps_its_kind() -> None:
    rule = make_rule(AlertKind.BALANCE_BELOW)

    with pytest.raises(ValidationError) as refused:
        rules.update_rule(
            actor=None,
            rule=rule,
            settings=RuleSettings(name="x", kind="quota_used", scope="all_users"),
            at=NOON,
        )

    assert list(refused.value.message_dict) == ["kind"]


def test_every_change_is_audited() -> None:
    admin = make_admin()
    robot = feishu()
    said = {**SAID, "thresholds": ["5"], "quiet_from": time(22), "quiet_until": time(7)}
    rule = rules.create_rule(actor=admin, settings=RuleSettings(**said), at=NOON)
    changed = RuleSettings(**{**said, "thresholds": ["5", "9"], "destinations": [robot]})
    for _twice in range(2):
        rules.update_rule(actor=admin, rule=rule, settings=changed, at=NOON)
        rules.set_rule_status(actor=admin, rule=rule, is_enabled=False, at=NOON)
    for _twice in range(2):
        rules.delete_rule(actor=admin, rule=rule)

    events = list(AuditEvent.objects.filter(actor=admin).order_by("pk"))
    assert [(event.action, event.subject_type, event.subject_name) for event in events] == [
        ("alert_rule.created", "alert_rule", "a rule"),
        ("alert_rule.updated", "alert_rule", "a rule"),
        ("alert_rule.status_changed", "alert_rule", "a rule"),
        ("alert_rule.deleted", "alert_rule", "a rule"),
    ]
    assert events[0].changes["quiet_from"] == {"old": None, "new": "22:00:00"}
    assert events[1].changes == {
        "thresholds": {"old": ["5"], "new": ["5", "9"]},
        "destinations": {"old": None, "new": ["robot"]},
    }
    assert events[2].changes == {"is_enabled": {"old": True, "new": False}}


def test_an_edit_writes_the_rule_as_it_was_said_anew() -> None:
    rule = make_rule(AlertKind.ERROR_RATE, "5", minimum_calls=7, destinations=[feishu()])

    rules.update_rule(
        actor=None, rule=rule, settings=RuleSettings(name="b", kind=rule.kind, scope=rule.scope), at=NOON
    )

    assert (rule.name, rule.minimum_calls, rule.thresholds) == ("b", 20, ["5"])
    assert list(rule.destinations.all()) == []
