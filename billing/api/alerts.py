"""Alerts: what was noticed, and whom it was told."""

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.api.alert_owners import Owner, OwnerName, name_of_owner, owner_named
from billing.api.alert_rule_schemas import KindName
from billing.models import Alert, AlertDelivery, AlertKind
from billing.queries import alerts as queries
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.texts import headline
from oneapi_admin.lib.api.fields import Id, PathId, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["alerts"])
deliveries_router = Router(tags=["alerts"])
DeliveryStatusName = Literal["pending", "delivered", "failed"]
Amount = Annotated[str, Field(description="In `unit`; a decimal number as a string.", examples=["97.5"])]


class AlertOut(Schema):
    """That something crossed a threshold of a rule, until it recovered."""

    id: Id
    key: UUID = Field(description="No other alert has it, of whatever installation.")
    owner: OwnerName = Field(description="Whose rule it is.")
    rule_id: Id
    rule_name: str
    kind: KindName
    severity: Literal["warning", "critical"]
    subject_type: Literal["channel", "user", "token", "site"]
    subject_id: int = Field(ge=0, description="0 for the installation (`site`).")
    subject_name: str = Field(description="As it was when the alert was raised.")
    user_id: Id | None = Field(description="Whose quota it is about, if anybody's.")
    threshold: Amount
    value: Amount = Field(description="What it was when the alert was raised, in `unit`.")
    resolved_value: str | None = Field(
        description="What it was when it was over; null before, and where nobody looked any more because the"
        " rule was changed or its subject is gone."
    )
    unit: Literal["percent", "usd", "currency", "hours", "count", "yes"] = Field(
        description="`currency`: that of the provider, see `facts`. `yes`: 1, something happened."
    )
    headline: str = Field(description="What happened, in the caller's language.")
    facts: dict[str, Any] = Field(
        description="What else is known, depending on the kind.", examples=[{"currency": "CNY"}]
    )
    raised_at: Time
    resolved_at: Time | None = Field(description="Null while it is open.")

    @classmethod
    def of(cls, alert: Alert) -> "AlertOut":
        """
        :param alert: with its ``rule``
        """
        names = (
            *("id", "key", "rule_id", "severity", "subject_type", "subject_id", "subject_name", "user_id"),
            *("facts", "raised_at", "resolved_at"),
        )
        rule: Any = alert.rule
        resolved = alert.resolved_value
        return cls(
            owner=name_of_owner(alert.owner_id),
            rule_name=rule.name,
            kind=rule.kind,
            threshold=_decimal_text(alert.threshold),
            value=_decimal_text(alert.value),
            resolved_value=None if resolved is None else _decimal_text(resolved),
            unit=KINDS[AlertKind(rule.kind)].unit.value,
            headline=headline(alert),
            **{name: getattr(alert, name) for name in names},
        )


class AlertDeliveryOut(Schema):
    """One alert for one receiver: by e-mail, or to a destination."""

    id: Id
    alert_id: Id
    event: Literal["raised", "resolved"]
    user_id: Id | None = Field(description="Who gets a mail; null where it goes to a destination.")
    username: str | None
    destination_id: Id | None = Field(description="Where else it goes; null for mail.")
    destination_name: str | None
    message_id: UUID | None = Field(
        description="The message that it became part of, the same in every attempt; null before the first."
    )
    status: DeliveryStatusName
    attempts: int = Field(ge=0)
    next_attempt_at: Time | None = Field(description="Null unless it is pending.")
    error: str = Field(description="Why the last attempt failed; empty if it did not.")
    created_at: Time
    delivered_at: Time | None

    @classmethod
    def of(cls, delivery: AlertDelivery) -> "AlertDeliveryOut":
        """
        :param delivery: with its ``user`` and its ``destination``
        """
        names = (
            *("id", "alert_id", "event", "user_id", "destination_id", "message_id", "status", "attempts"),
            *("next_attempt_at", "error", "created_at", "delivered_at"),
        )
        return cls(
            username=delivery.user.username if delivery.user else None,
            destination_name=delivery.destination.name if delivery.destination else None,
            **{name: getattr(delivery, name) for name in names},
        )


class AlertListQuery(PageQuery):
    owner: Owner = None
    state: Literal["open", "all"] = Field("all", description="`open`: only those that are not over.")
    rule_id: Id | None = Field(None, description="Only what this rule raised.")


class AlertDeliveryListQuery(PageQuery):
    owner: Owner = None
    status: DeliveryStatusName | None = None


@router.get("", response=PageOut[AlertOut], operation_id="listAlerts")
@requires(Scope.ADMIN, is_read=True)
def list_alerts(request: ApiRequest, page_query: Query[AlertListQuery]) -> object:
    """Alerts, newest first.

    One's own are those that one is told of one's own quota, by one's own rules and by the operators'.
    """
    owner = owner_named(request, page_query.owner)
    is_open, rule = page_query.state == "open", page_query.rule_id
    if owner is None:
        found = queries.operators_alerts(is_open=is_open, rule=rule, viewer=request.auth.user)
    else:
        found = queries.alerts_told_to(owner, is_open=is_open, rule=rule)
    return page(found, page_query, AlertOut.of)


@router.get("/{alert_id}", response={200: AlertOut, **errors(404)}, operation_id="getAlert")
@requires(Scope.ADMIN, is_read=True)
def get_alert(request: ApiRequest, alert_id: PathId) -> AlertOut:
    """One alert."""
    return AlertOut.of(_found(request, alert_id))


@router.get(
    "/{alert_id}/deliveries",
    response={200: PageOut[AlertDeliveryOut], **errors(404)},
    operation_id="listDeliveriesOfAlert",
)
@requires(Scope.ADMIN, is_read=True)
def list_deliveries_of(request: ApiRequest, alert_id: PathId, page_query: Query[PageQuery]) -> object:
    """Whom an alert was told within the last 90 days, newest first; users see what went to themselves."""
    caller = request.auth.user
    found = queries.deliveries_of(_found(request, alert_id), reader=None if caller.is_operator else caller)
    return page(found, page_query, AlertDeliveryOut.of)


@deliveries_router.get("", response=PageOut[AlertDeliveryOut], operation_id="listAlertDeliveries")
@requires(Scope.ADMIN, is_read=True)
def list_deliveries(request: ApiRequest, page_query: Query[AlertDeliveryListQuery]) -> object:
    """What the alerts of the owner's rules were sent to within the last 90 days, newest first."""
    owner, status = owner_named(request, page_query.owner), page_query.status or ""
    if owner is None:
        found = queries.operators_deliveries(status=status, viewer=request.auth.user)
    else:
        found = queries.own_deliveries(owner, status=status)
    return page(found, page_query, AlertDeliveryOut.of)


def _found(request: ApiRequest, alert_id: int) -> Alert:
    alert: Alert = get_object_or_404(queries.alerts_within_reach(request.auth.user), pk=alert_id)
    return alert


def _decimal_text(value: Decimal) -> str:
    return f"{value.normalize():f}"
