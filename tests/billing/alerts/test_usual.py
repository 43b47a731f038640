"""The rules that an installation begins with."""

import pytest

from accounts.services.permissions import PermissionDeniedError
from billing.models import AlertKind, AlertRule, AuditRun
from billing.services.alerts import rules
from billing.services.alerts.usual import create_usual_rules
from tests.billing.alerts.making import evaluate, make_rule, raised
from tests.factories import NOON, make_admin, make_channel, make_user

pytestmark = pytest.mark.django_db


def test_the_usual_rules_are_made_once_and_none_of_a_kind_that_is_there() -> None:
    own = make_rule(AlertKind.DRIFT, "50")

    made = create_usual_rules(actor=make_admin(), at=NOON)
    again = create_usual_rules(actor=make_admin(), at=NOON)

    assert "drift" not in {rule.kind for rule in made}
    assert len(made) == len({rule.kind for rule in made}) == 5
    assert again == []
    assert list(AlertRule.objects.filter(kind="drift")) == [own]


def test_one_that_was_deleted_may_be_had_again() -> None:
    made = create_usual_rules(actor=None, at=NOON)
    rules.delete_rule(actor=None, rule=made[0])

    [again] = create_usual_rules(actor=None, at=NOON)

    assert again.kind == made[0].kind


def test_nothing_is_told_of_an_installation_in_order() -> None:
    make_channel()
    AuditRun.objects.create(started_at=NOON, finished_at=NOON, is_clean=True, checks=[])
    create_usual_rules(actor=None, at=NOON)

    assert evaluate() == 0
    assert raised() == []


def test_they_are_the_operators() -> None:
    with pytest.raises(PermissionDeniedError):
        create_usual_rules(actor=make_user(), at=NOON)

    assert not AlertRule.objects.exists()
