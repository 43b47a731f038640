"""Webhooks: who is told what, and what they were told."""

from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.models import Webhook, WebhookDelivery, WebhookEvent
from billing.queries import webhooks as queries
from billing.services import webhooks as services
from billing.validators import WEBHOOK_URL_PATTERN
from oneapi_admin.lib.api.etags import IF_MATCH, check_if_match, etag_of, set_etag
from oneapi_admin.lib.api.fields import Id, Name, PathId, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["webhooks"])
StatusName = Literal["enabled", "disabled"]
DeliveryStatusName = Literal["pending", "delivered", "failed"]
EventName = Literal[
    "topup.created",
    "refund.created",
    "reversal.created",
    "code.redeemed",
    "code.attack",
    "channel.state_changed",
    "alert.raised",
    "alert.resolved",
]
Url = Annotated[
    Text,
    Field(
        max_length=1000,
        pattern=WEBHOOK_URL_PATTERN,
        examples=["https://shop.example.com/hooks/quota"],
        description="http or https, without user name, password or fragment.",
    ),
]
Events = Annotated[list[EventName], Field(min_length=1, max_length=20, examples=[["topup.created"]])]


class WebhookIn(Schema, extra="forbid"):
    name: Name
    url: Url
    events: Events
    status: StatusName = "enabled"


class WebhookPatch(Schema, extra="forbid"):
    """What to change; what is left out stays."""

    name: Name | None = None
    url: Url | None = None
    events: Events | None = None
    status: StatusName | None = None


class WebhookOut(Schema):
    """An address that is told of events; its secret is shown once, when it is made or rotated."""

    id: Id
    name: str
    url: str
    events: list[str]
    status: StatusName = Field(description="A disabled one is told of nothing new; what is pending waits.")
    secret_hint: str = Field(description="The end of its secret, to tell secrets apart.")
    created_by_id: Id | None
    created_at: Time

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookOut":
        names = ("id", "name", "url", "events", "secret_hint", "created_by_id", "created_at")
        return cls(
            status="enabled" if webhook.is_enabled else "disabled",
            **{name: getattr(webhook, name) for name in names},
        )


class NewWebhookOut(WebhookOut):
    """A webhook with its secret, which is shown this once."""

    secret: str = Field(examples=["whsec_…"])


class DeliveryOut(Schema):
    """One event for one webhook."""

    id: Id
    webhook_id: Id
    event: str
    event_id: UUID = Field(description="Sent as `X-Oneapi-Delivery`; the same in every attempt.")
    payload: dict[str, Any]
    status: DeliveryStatusName
    attempts: int = Field(ge=0)
    next_attempt_at: Time | None = Field(description="Null unless it is pending.")
    status_code: int | None = Field(description="What the receiver answered last; null without an answer.")
    error: str = Field(description="Why the last attempt failed; empty if it did not.")
    created_at: Time
    delivered_at: Time | None

    @classmethod
    def of(cls, delivery: WebhookDelivery) -> "DeliveryOut":
        return cls.model_validate(delivery, from_attributes=True)


class DeliveryListQuery(PageQuery):
    status: DeliveryStatusName | None = None


@router.get("", response=PageOut[WebhookOut], operation_id="listWebhooks")
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def list_webhooks(request: ApiRequest, page_query: Query[PageQuery]) -> object:  # noqa: ARG001
    """All webhooks, newest first."""
    return page(Webhook.objects.all(), page_query, WebhookOut.of)


@router.post("", response={201: NewWebhookOut}, operation_id="createWebhook")
@requires(Scope.ADMIN, is_for_operators=True)
@idempotent(201)
def create_webhook(request: ApiRequest, data: WebhookIn) -> NewWebhookOut:
    """Add a webhook. Its secret, with which events are signed, is shown this once."""
    webhook, secret = services.create_webhook(
        actor=request.auth.user,
        settings=services.WebhookSettings(name=data.name, url=data.url, events=data.events),
        is_enabled=data.status == "enabled",
        at=timezone.now(),
    )
    return _shown_once(webhook, secret)


@router.get("/{webhook_id}", response={200: WebhookOut, **errors(404)}, operation_id="getWebhook")
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def get_webhook(request: ApiRequest, response: HttpResponse, webhook_id: PathId) -> WebhookOut:  # noqa: ARG001
    """One webhook."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    set_etag(response, _etag(webhook))
    return WebhookOut.of(webhook)


@router.patch(
    "/{webhook_id}",
    response={200: WebhookOut, **errors(404, 412)},
    operation_id="updateWebhook",
    openapi_extra=IF_MATCH,
)
@requires(Scope.ADMIN, is_for_operators=True)
def update_webhook(
    request: ApiRequest, response: HttpResponse, webhook_id: PathId, data: WebhookPatch
) -> WebhookOut:
    """Change, enable or disable a webhook."""
    actor = request.auth.user
    with transaction.atomic(durable=True):
        webhook = _locked(request, webhook_id)
        changes = data.model_dump(exclude_none=True, exclude={"status"})
        present = {name: getattr(webhook, name) for name in ("name", "url", "events")}
        settings = services.WebhookSettings(**{**present, **changes})
        services.update_webhook(actor=actor, webhook=webhook, settings=settings)
        if data.status is not None:
            services.set_webhook_status(actor=actor, webhook=webhook, is_enabled=data.status == "enabled")
        changed = Webhook.objects.get(pk=webhook.pk)
    set_etag(response, _etag(changed))
    return WebhookOut.of(changed)


@router.delete(
    "/{webhook_id}",
    response={204: None, **errors(404, 412)},
    operation_id="deleteWebhook",
    openapi_extra=IF_MATCH,
)
@requires(Scope.ADMIN, is_for_operators=True)
def delete_webhook(request: ApiRequest, webhook_id: PathId) -> HttpResponse:
    """Delete a webhook with its log; what is pending is never sent."""
    with transaction.atomic(durable=True):
        services.delete_webhook(actor=request.auth.user, webhook=_locked(request, webhook_id))
    return HttpResponse(status=204)


@router.post(
    "/{webhook_id}/rotate",
    response={200: NewWebhookOut, **errors(404, 409)},
    operation_id="rotateWebhookSecret",
)
@requires(Scope.ADMIN, is_for_operators=True)
@idempotent(200)
def rotate_secret(request: ApiRequest, webhook_id: PathId) -> NewWebhookOut:
    """Give a webhook a new secret, shown this once; everything is signed with it from now on."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    secret = services.rotate_secret(actor=request.auth.user, webhook=webhook)
    return _shown_once(webhook, secret)


@router.post(
    "/{webhook_id}/test", response={202: DeliveryOut, **errors(404, 409)}, operation_id="testWebhook"
)
@requires(Scope.ADMIN, is_for_operators=True)
@idempotent(202)
def test_webhook(request: ApiRequest, webhook_id: PathId) -> DeliveryOut:  # noqa: ARG001
    """Send the event `webhook.test`, once; the log shows the result."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    return DeliveryOut.of(services.send_test(webhook=webhook, at=timezone.now()))


@router.get(
    "/{webhook_id}/deliveries",
    response={200: PageOut[DeliveryOut], **errors(404)},
    operation_id="listWebhookDeliveries",
)
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def list_deliveries(request: ApiRequest, webhook_id: PathId, page_query: Query[DeliveryListQuery]) -> object:  # noqa: ARG001
    """What a webhook was told in the last 30 days, newest first."""
    webhook = get_object_or_404(Webhook, pk=webhook_id)
    found = queries.deliveries_of(webhook=webhook, status=page_query.status or "")
    return page(found, page_query, DeliveryOut.of)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    response={202: DeliveryOut, **errors(404, 409)},
    operation_id="redeliverWebhookDelivery",
)
@requires(Scope.ADMIN, is_for_operators=True)
@idempotent(202)
def redeliver(request: ApiRequest, webhook_id: PathId, delivery_id: PathId) -> DeliveryOut:  # noqa: ARG001
    """Send an event again, under the same id."""
    found = WebhookDelivery.objects.select_related("webhook")
    delivery = get_object_or_404(found, pk=delivery_id, webhook_id=webhook_id)
    return DeliveryOut.of(services.redeliver(delivery=delivery, at=timezone.now()))


def _locked(request: ApiRequest, webhook_id: int) -> Webhook:
    """The webhook, which stays as it is until the transaction ends, if it is the version that was read."""
    webhook = get_object_or_404(Webhook.objects.select_for_update(), pk=webhook_id)
    check_if_match(request, _etag(webhook))
    return webhook


def _etag(webhook: Webhook) -> str:
    return etag_of(
        webhook.pk, webhook.name, webhook.url, webhook.events, webhook.is_enabled, webhook.secret_hint
    )


def _shown_once(webhook: Webhook, secret: str) -> NewWebhookOut:
    return NewWebhookOut(secret=secret, **WebhookOut.of(webhook).model_dump())


assert set(WebhookEvent.values) == set(get_args(EventName))  # noqa: S101  the schema's names are the model's
