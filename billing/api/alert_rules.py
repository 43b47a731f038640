"""Rules of alerts: when somebody wants to be told of what."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import time
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope, User
from billing.api.alert_owners import Owner, owner_named
from billing.api.alert_rule_schemas import TIMES, AlertRuleIn, AlertRuleOut, AlertRulePatch, alert_rule_etag
from billing.models import AlertAudience, AlertDestination, AlertKind, AlertRule, AlertScope, Channel
from billing.queries import alerts as queries
from billing.services.alerts import rules as services
from billing.services.alerts.kinds import KINDS
from oneapi_admin.lib.api.etags import IF_MATCH, check_if_match, set_etag
from oneapi_admin.lib.api.fields import PathId
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["alerts"])
_NULLABLE = ("channel_id", "user_id", *TIMES)


class AlertRuleListQuery(PageQuery):
    owner: Owner = None


@router.get("", response=PageOut[AlertRuleOut], operation_id="listAlertRules")
@requires(Scope.ADMIN, is_read=True)
def list_rules(request: ApiRequest, page_query: Query[AlertRuleListQuery]) -> object:
    """Rules, newest first."""
    owner = owner_named(request, page_query.owner)
    return page(queries.rules_of(owner, viewer=request.auth.user), page_query, AlertRuleOut.of)


@router.post("", response={201: AlertRuleOut, **errors(409)}, operation_id="createAlertRule")
@requires(Scope.ADMIN)
@idempotent(201)
def create_rule(request: ApiRequest, data: AlertRuleIn) -> AlertRuleOut:
    """Make a rule.

    One about all users is about what moves from now on; all others also about how it stands already.
    """
    actor, owner = request.auth.user, owner_named(request, data.owner)
    values = data.model_dump(exclude={"owner", "status"})
    values["scope"] = data.scope or _usual_scope(data, owner)
    values["audience"] = data.audience or (AlertAudience.USER if owner else AlertAudience.OPERATORS)
    if owner is not None and values["scope"] == AlertScope.USER and data.user_id is None:
        values["user_id"] = owner.pk
    with _named_as_here():
        rule = services.create_rule(
            actor=actor,
            owner=owner,
            settings=services.RuleSettings(**_found_by_id(values, actor=actor, owner=owner)),
            is_enabled=data.status == "enabled",
            at=timezone.now(),
        )
    return AlertRuleOut.of(_rules(request).get(pk=rule.pk))


@router.get("/{rule_id}", response={200: AlertRuleOut, **errors(404)}, operation_id="getAlertRule")
@requires(Scope.ADMIN, is_read=True)
def get_rule(request: ApiRequest, response: HttpResponse, rule_id: PathId) -> AlertRuleOut:
    """One rule."""
    rule = get_object_or_404(_rules(request), pk=rule_id)
    set_etag(response, alert_rule_etag(rule))
    return AlertRuleOut.of(rule)


@router.patch(
    "/{rule_id}",
    response={200: AlertRuleOut, **errors(404, 412)},
    operation_id="updateAlertRule",
    openapi_extra=IF_MATCH,
)
@requires(Scope.ADMIN)
def update_rule(
    request: ApiRequest, response: HttpResponse, rule_id: PathId, data: AlertRulePatch
) -> AlertRuleOut:
    """Change, enable or disable a rule, but not its kind.

    Where it is about something else afterwards, or has other thresholds, its alerts are over and it begins
    anew.
    """
    actor, at = request.auth.user, timezone.now()
    sent = data.model_dump(exclude_unset=True, exclude={"status"})
    changes = {name: value for name, value in sent.items() if value is not None or name in _NULLABLE}
    with transaction.atomic(durable=True):
        rule = _locked(request, rule_id, is_kept=True)
        if changes:
            present = {field.name: getattr(rule, field.name) for field in fields(services.RuleSettings)}
            present["destinations"] = list(rule.destinations.all())
            with _named_as_here():
                changed = _found_by_id(changes, actor=actor, owner=rule.owner)
                settings = services.RuleSettings(**{**present, **changed})
                services.update_rule(actor=actor, rule=rule, settings=settings, at=at)
        if data.status is not None:
            services.set_rule_status(actor=actor, rule=rule, is_enabled=data.status == "enabled", at=at)
        rule = _rules(request).get(pk=rule.pk)
    set_etag(response, alert_rule_etag(rule))
    return AlertRuleOut.of(rule)


@router.delete(
    "/{rule_id}",
    response={204: None, **errors(404, 412)},
    operation_id="deleteAlertRule",
    openapi_extra=IF_MATCH,
)
@requires(Scope.ADMIN)
def delete_rule(request: ApiRequest, rule_id: PathId) -> HttpResponse:
    """Delete a rule with its alerts and their log; what is pending is never sent."""
    with transaction.atomic(durable=True):
        services.delete_rule(actor=request.auth.user, rule=_locked(request, rule_id, is_kept=False))
    return HttpResponse(status=204)


def _rules(request: ApiRequest) -> QuerySet[AlertRule]:
    return queries.rules_within_reach(request.auth.user)


def _locked(request: ApiRequest, rule_id: int, *, is_kept: bool) -> AlertRule:
    """The rule, which stays as it is until the transaction ends, if it is the version that was read.

    :param is_kept: lets others raise alerts of it meanwhile
    """
    locked = _rules(request).select_for_update(of=("self",), no_key=is_kept)
    rule = get_object_or_404(locked, pk=rule_id)
    check_if_match(request, alert_rule_etag(rule))
    return rule


# --- What is sent, as the services take it ----------------------------------------------------


def _usual_scope(data: AlertRuleIn, owner: User | None) -> str:
    if data.channel_id is not None:
        return AlertScope.CHANNEL
    if data.user_id is not None or owner is not None:
        return AlertScope.USER
    return KINDS[AlertKind(data.kind)].scopes[0]


def _found_by_id(values: dict[str, Any], *, actor: User, owner: User | None) -> dict[str, Any]:
    """Settings with what their ids stand for.

    :raises ValidationError: if there is nothing that stands for one
    """
    found = dict(values)
    if "channel_id" in found:
        channels = Channel.objects.all() if actor.is_operator else Channel.objects.none()
        found["channel"] = _one("channel", channels, found.pop("channel_id"))
    if "user_id" in found:
        found["user"] = _one("user", User.objects.visible_to(actor), found.pop("user_id"))
    if "destination_ids" in found:
        found["destinations"] = _destinations(found.pop("destination_ids"), owner)
    for name in TIMES:
        if found.get(name) is not None:
            found[name] = time.fromisoformat(found[name])
    return found


def _one(name: str, rows: QuerySet[Any], pk: int | None) -> Any:
    if pk is None:
        return None
    row = rows.filter(pk=pk).first()
    if row is None:
        raise ValidationError({name: _("There is nothing here that you may see.")})
    return row


def _destinations(ids: list[int], owner: User | None) -> list[AlertDestination]:
    found = list(AlertDestination.objects.filter(pk__in=ids, owner=owner))
    if len(found) < len(set(ids)):
        raise ValidationError(
            {"destinations": _("Choose from the destinations of whoever the rule belongs to.")}
        )
    return found


@contextmanager
def _named_as_here() -> Iterator[None]:
    """Have what is wrong named as it was sent."""
    names = {"channel": "channel_id", "user": "user_id", "destinations": "destination_ids"}
    try:
        yield
    except ValidationError as exc:
        wrong = {names.get(name, name): messages for name, messages in exc.message_dict.items()}
        raise ValidationError(wrong) from exc
