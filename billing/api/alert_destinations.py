"""Destinations of alerts: robots and chats of messaging services."""

from typing import Annotated, Literal

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.api.alert_owners import Owner, OwnerName, name_of_owner, owner_named
from billing.models import AlertDestination
from billing.queries import alerts as queries
from billing.services.alerts import destinations as services
from oneapi_admin.lib.api.fields import Body, Id, Name, PathId, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["alerts"])
Address = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=1000,
        examples=["https://open.feishu.cn/open-apis/bot/v2/hook/0123-abcd"],
        description="As the service shows it, or as apprise writes it (`tgram://…`); kept encrypted and never"
        " given back.",
    ),
]
Language = Annotated[
    str,
    Field(
        pattern="^(|" + "|".join(dict(settings.LANGUAGES)) + ")$",
        description="Of what is sent; empty for the caller's.",
    ),
]


class AlertDestinationIn(Body):
    name: Name
    address: Address
    owner: Owner = None
    language: Language = ""


class AlertDestinationOut(Schema):
    """A robot or a chat that alerts go to; its address, which is a secret, is never given back."""

    id: Id
    owner: OwnerName
    name: str
    service: str = Field(examples=["feishu"])
    address_hint: str = Field(description="The end of its address, to tell them apart.")
    language: str = Field(description="Of what is sent; empty for the installation's.")
    last_status: Literal["pending", "delivered", "failed"] | None = Field(
        description="What became of the newest alert for it; null without one."
    )
    last_error: str | None = Field(description="Why that has not arrived; null without an alert.")
    tested_at: Time | None
    test_error: str = Field(description="Why the last test did not arrive; empty if it did.")
    created_by_id: Id | None
    created_at: Time

    @classmethod
    def of(cls, destination: AlertDestination) -> "AlertDestinationOut":
        """
        :param destination: from ``billing.queries.alerts``
        """
        names = (
            *("id", "name", "service", "address_hint", "language", "last_status", "last_error", "tested_at"),
            *("test_error", "created_by_id", "created_at"),
        )
        return cls(
            owner=name_of_owner(destination.owner_id),
            **{name: getattr(destination, name) for name in names},
        )


class AlertDestinationListQuery(PageQuery):
    owner: Owner = None


@router.get("", response=PageOut[AlertDestinationOut], operation_id="listAlertDestinations")
@requires(Scope.ADMIN, is_read=True)
def list_destinations(request: ApiRequest, page_query: Query[AlertDestinationListQuery]) -> object:
    """Destinations, newest first."""
    owner = owner_named(request, page_query.owner)
    return page(queries.destinations_of(owner), page_query, AlertDestinationOut.of)


@router.post("", response={201: AlertDestinationOut, **errors(409)}, operation_id="createAlertDestination")
@requires(Scope.ADMIN)
@idempotent(201)
def create_destination(request: ApiRequest, data: AlertDestinationIn) -> AlertDestinationOut:
    """Add a destination. Rules that name it send their alerts there."""
    destination = services.add_destination(
        actor=request.auth.user,
        owner=owner_named(request, data.owner),
        name=data.name,
        address=data.address,
        language=data.language,
        at=timezone.now(),
    )
    return AlertDestinationOut.of(_found(request, destination.pk))


@router.delete(
    "/{destination_id}", response={204: None, **errors(404)}, operation_id="deleteAlertDestination"
)
@requires(Scope.ADMIN)
def delete_destination(request: ApiRequest, destination_id: PathId) -> HttpResponse:
    """Remove a destination with its log; what is pending is never sent."""
    with transaction.atomic(durable=True):
        services.remove_destination(actor=request.auth.user, destination=_found(request, destination_id))
    return HttpResponse(status=204)


@router.post(
    "/{destination_id}/test",
    response={200: AlertDestinationOut, **errors(404, 502)},
    operation_id="testAlertDestination",
)
@requires(Scope.ADMIN)
def run_test(request: ApiRequest, destination_id: PathId) -> AlertDestinationOut:
    """Send a test, now. Where it does not arrive the answer is 502 and says why."""
    destination = _found(request, destination_id)
    services.send_test(actor=request.auth.user, destination=destination, at=timezone.now())
    return AlertDestinationOut.of(destination)


def _found(request: ApiRequest, destination_id: int) -> AlertDestination:
    within_reach = queries.destinations_within_reach(request.auth.user)
    destination: AlertDestination = get_object_or_404(within_reach, pk=destination_id)
    return destination
