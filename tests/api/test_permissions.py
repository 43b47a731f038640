"""Who may do what to whose: every operation, asked by everybody, about everything, against a table.

The table is ``docs/api-permissions.md``; the failure says where the table of today is to be found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from billing.models import (
    Alert,
    AlertDestination,
    AlertKind,
    AlertRule,
    BulkTopUp,
    Proposal,
    Reconciliation,
    UsageRecord,
)
from billing.services import webhooks
from billing.services.accounts import top_up
from billing.services.acts import TopUp as TopUpAct
from billing.services.alerts.destinations import add_destination
from billing.services.approval_settings import set_approval_threshold
from billing.services.approvals import submit
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from billing.services.reconciling import reconcile
from oneapi_admin.api import api
from redemption.models import CodeBatch
from redemption.services.redeeming import redeem
from tests.api.conftest import Program
from tests.billing.alerts.making import make_rule, own_rule
from tests.factories import (
    NOON,
    MadeToken,
    codes_in_clear,
    make_admin,
    make_batch,
    make_channel,
    make_root,
    make_snapshot,
    make_token,
    make_user,
    make_webhook,
    settlement,
)
from tests.support.processes import ROOT

pytestmark = pytest.mark.django_db

TABLE = ROOT / "docs" / "api-permissions.md"
UNKNOWN = 10**15
CALLERS = ("visitor", "user", "admin", "root")
INTRODUCTION = """\
# Who may do what

Every operation of the management API, asked with an access token of every scope: the status of the answer
by who asks and whose object it is about. 401: nobody is asking; 403: this role may not; 404: there is
nothing that the caller may see; 409: allowed, but not in this case (a name that is taken, a code that is
none, codes that are made already); 502: allowed, but nobody answered. `tests/api/test_permissions.py`
keeps this table true.

| operation | whose | visitor | user | admin | root |
|---|---|---|---|---|---|
"""

BODIES: dict[str, Any] = {
    "createUser": {"username": "taken", "password": "a long pass phrase"},
    "updateUser": {"display_name": "x"},
    "topUpUser": {"quota": 5},
    "adjustUserQuota": {"quota": 5, "memo": "m"},
    "reverseLedgerEntry": {"memo": "m"},
    "undoBulkTopUp": {"memo": "m"},
    "rejectProposal": {},
    "setApprovalSettings": {"threshold": None},
    "refundCall": {"memo": "m"},
    "topUpUsers": {"items": [{"user_id": 1, "quota": 5}]},
    "createAccessToken": {"name": "x", "scopes": ["read"]},
    "createAccessTokenForUser": {"name": "x", "scopes": ["read"]},
    "rotateAccessToken": {},
    "createToken": {"name": "x"},
    "updateToken": {"name": "x"},
    "rotateToken": {},
    "createChannel": {"name": "x", "base_url": "http://127.0.0.1:9", "key": "sk-x", "models": ["m"]},
    "updateChannel": {"name": "x"},
    "testChannel": {},
    "refreshChannelBalance": {},
    "enterChannelBalance": {"remaining": "5"},
    "diagnoseError": {"status": 429},
    "setExchangeRate": {"currency": "CNY", "per_usd": "7.1"},
    "redeemCode": {"code": "0000-0000-0000-0000-0"},
    "createCodeBatch": {"name": "x", "count": 1, "quota": 5},
    "updateCodeBatch": {"status": "disabled"},
    "searchCodes": {"code": "0000"},
    "updateCode": {"status": "disabled"},
    "reverseCode": {"memo": "m"},
    "createWebhook": {"name": "x", "url": "http://127.0.0.1:9/", "events": ["topup.created"]},
    "updateWebhook": {"name": "x"},
    "rotateWebhookSecret": {},
    "testWebhook": {},
    "redeliverWebhookDelivery": {},
    "createAlertRule": {"name": "x", "kind": "balance_below"},
    "updateAlertRule": {"name": "x"},
    "createAlertDestination": {"name": "x", "address": "feishu://0123-abcd"},
}
QUERIES = {"summarizeUsage": "?group_by=model"}
ACROSS_PEOPLE = ("own", "a user's", "an admin's", "root's", "unknown")
NOBODYS = ("any", "unknown")
OF_ALERTS = ("own", "a user's", "an admin's", "root's", "the operators'", "unknown")


@dataclass
class World:
    """Somebody of each role who asks, and another of each who is asked about."""

    callers: dict[str, User | None] = field(default_factory=dict)
    _MAKERS: ClassVar[dict[str, Callable[[], User | None]]] = {
        "visitor": lambda: None,
        "user": make_user,
        "admin": make_admin,
        "root": make_root,
    }

    @classmethod
    def make(cls) -> "World":
        return cls({caller: make() for caller, make in cls._MAKERS.items()})

    def program(self, caller: str) -> Program:
        user = self.callers[caller]
        if user is None:
            return Program()
        return Program(create_access_token(actor=None, user=user, name="p", scopes=["admin"])[1])

    def _renewed(self, caller: str) -> User:
        """Whoever asks about themselves may be gone afterwards."""
        self.callers = {**self.callers, caller: self._MAKERS[caller]()}
        return self.callers[caller] or make_user()

    def owner(self, whose: str, caller: str) -> User:
        makers: dict[str, Callable[[], User]] = {
            "own": lambda: self._renewed(caller),
            "a user's": make_user,
            "an admin's": make_admin,
            "root's": make_root,
        }
        return makers[whose]()


def ids_of(path: str, whose: str, world: World, caller: str) -> dict[str, int]:
    """A fresh object for each parameter of the path."""
    if whose == "unknown":
        return dict.fromkeys(
            (
                *("user_id", "token_id", "channel_id", "batch_id", "code_id", "webhook_id", "delivery_id"),
                *("entry_id", "call", "bulk_top_up_id", "approval_id", "reconciliation_id"),
                *("alert_id", "rule_id", "destination_id"),
            ),
            UNKNOWN,
        )
    if is_of_alerts(path):
        return watched(None if whose == "the operators'" else world.owner(whose, caller))
    if whose in ACROSS_PEOPLE:
        owner = world.owner(whose, caller)
        access_token, _key = create_access_token(actor=None, user=owner, name="t", scopes=["read"])
        made = make_token(owner)
        token = access_token.pk if "/access-tokens/" in path else made.token.pk
        ids = {"user_id": owner.pk, "token_id": token}
        return {**ids, **correctable(owner, made)} if "{entry_id}" in path or "{call}" in path else ids
    batch = shared_code()
    webhook = make_webhook().webhook
    top_up_many(actor=make_admin(), items=[TopUp(user_id=make_user().pk, quota=5)], at=NOON)
    return {
        "bulk_top_up_id": BulkTopUp.objects.latest("pk").pk,
        "approval_id": proposal().pk,
        "channel_id": make_channel(balance_source="manual").pk,
        "reconciliation_id": compared().pk,
        "batch_id": batch.pk,
        "code_id": batch.codes.get().pk,
        "webhook_id": webhook.pk,
        "delivery_id": webhooks.send_test(webhook=webhook, at=NOON).pk,
    }


def watched(owner: User | None) -> dict[str, int]:
    """A destination, a rule, and what it raised; nobody may have many of them."""
    AlertDestination.objects.all().delete()
    AlertRule.objects.all().delete()
    address = {"name": "x", "address": "feishu://0123-abcd"}
    rule = own_rule(owner, AlertKind.BALANCE_BELOW) if owner else make_rule(AlertKind.BALANCE_BELOW)
    user = owner or make_user()
    alert = Alert.objects.create(
        rule=rule,
        owner=owner,
        user=user,
        subject_type="user",
        subject_id=user.pk,
        subject_name=user.username,
        threshold=1,
        episode=1,
        severity="warning",
        value=0,
        raised_at=NOON,
    )
    destination = add_destination(actor=owner, owner=owner, at=NOON, **address)
    return {"rule_id": rule.pk, "alert_id": alert.pk, "destination_id": destination.pk}


def shared_code() -> CodeBatch:
    """A batch whose codes can be read, and whose only one a user has redeemed."""
    batch = make_batch(make_root(), at=timezone.now(), quota=5, count=1, uses_per_code=2)
    redeem(code=codes_in_clear(batch)[0], user=make_user(), at=timezone.now())
    return batch


def compared() -> Reconciliation:
    """An interval of a channel."""
    channel = make_channel()
    first, last = (
        make_snapshot(channel=channel, kind="balance", remaining=left, created_at=NOON) for left in (2, 1)
    )
    row = reconcile(channel=channel, first=first, last=last, at=NOON)
    assert row is not None
    return row


def proposal() -> Proposal:
    """An administrator's, about a user."""
    set_approval_threshold(actor=make_root(), threshold=5)
    act = TopUpAct(user_id=make_user().pk, quota=6, memo="m")
    kept = submit(actor=make_admin(), act=act, at=timezone.now())
    assert isinstance(kept, Proposal)
    return kept


def correctable(owner: User, token: MadeToken) -> dict[str, int]:
    """A movement that can be reversed and a call that can be refunded."""
    entry = top_up(actor=make_root(), user=owner, quota=5, at=NOON)
    call = settlement(token, make_channel(), quota=5)
    settle(settlements=[call], at=NOON)
    top_up(actor=make_root(), user=owner, quota=5, at=NOON)
    return {"entry_id": entry.pk, "call": UsageRecord.objects.get(request_id=call.request_id).pk}


def operations() -> list[tuple[str, str, str]]:
    """Id, method and path of every operation, in the order of the document."""
    paths = api.get_openapi_schema(path_prefix="/")["paths"]
    return [
        (operation["operationId"], method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def is_of_alerts(path: str) -> bool:
    return any(name in path for name in ("{rule_id}", "{alert_id}", "{destination_id}"))


def objects_of(path: str) -> tuple[str, ...]:
    if is_of_alerts(path):
        return OF_ALERTS
    if any(name in path for name in ("{user_id}", "{token_id}", "{entry_id}", "{call}")):
        return ACROSS_PEOPLE
    return NOBODYS if "{" in path else ("–",)


def status(world: World, caller: str, operation: tuple[str, str, str], whose: str) -> int:
    name, method, path = operation
    ids = ids_of(path, whose, world, caller) if whose != "–" else {}
    address = path.format(**ids) + QUERIES.get(name, "")
    return world.program(caller).ask(method, address, BODIES.get(name)).status


def line(world: World, operation: tuple[str, str, str], whose: str) -> str:
    """What everybody is told, one after the other."""
    statuses = [status(world, caller, operation, whose) for caller in CALLERS]
    return f"| {operation[0]} | {whose} | {' | '.join(map(str, statuses))} |"


def test_every_operation_answers_everybody_as_the_table_says(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(webhooks, "enqueue", lambda *_args, **_kwargs: None)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    make_user(username="taken")
    world = World.make()
    lines = [
        line(world, operation, whose) for operation in operations() for whose in objects_of(operation[2])
    ]
    today = tmp_path / "api-permissions.md"
    today.write_text(INTRODUCTION + "\n".join(lines) + "\n", encoding="utf-8")

    assert today.read_text("utf-8").splitlines() == TABLE.read_text("utf-8").splitlines(), f"today's: {today}"


def test_every_operation_that_takes_a_body_is_asked_with_one() -> None:
    paths = api.get_openapi_schema(path_prefix="/")["paths"]
    taking = {
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if "requestBody" in operation
    }

    assert taking <= set(BODIES)
