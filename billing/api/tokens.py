"""Tokens for ``/v1``: one's own, and for operators those of users below them."""

from typing import Annotated

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from accounts.api.auth import ApiRequest, owner_of, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope, Token, User
from accounts.validators import validate_expiry
from billing.api.schemas import NewTokenOut, StatusName, TokenOut, token_etag
from billing.models import TokenQuota
from billing.services import tokens as services
from oneapi_admin.lib.api.etags import IF_MATCH, check_if_match, set_etag
from oneapi_admin.lib.api.fields import Body, Id, Moment, Name, PathId, Text
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page
from oneapi_admin.lib.quota import MAX_QUOTA

router = Router(tags=["tokens"])
Limit = Annotated[int, Field(ge=0, le=MAX_QUOTA, description="Quota units, 500,000 to the US dollar.")]
Models = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=128)]],
    Field(max_length=200, description="Empty for all."),
]
Networks = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=64)]],
    Field(max_length=200, description="IP addresses and CIDR networks; empty for all."),
]


class TokenIn(Body):
    name: Name
    user_id: Id | None = Field(None, description="Whose it is; the caller's by default. For operators.")
    quota_limit: Limit | None = None
    expires_at: Moment | None = None
    allowed_models: Models = []
    allowed_networks: Networks = []


class TokenPatch(Body):
    """What to change; what is left out stays, and null takes a limit or an expiry away."""

    name: Name | None = None
    status: StatusName | None = None
    quota_limit: Limit | None = None
    expires_at: Moment | None = None
    allowed_models: Models | None = None
    allowed_networks: Networks | None = None


class TokenListQuery(PageQuery):
    user_id: Id | None = Field(None, description="Whose; the caller's by default. For operators.")


@router.get("", response={200: PageOut[TokenOut], **errors(404)}, operation_id="listTokens")
@requires(Scope.TOKENS, is_read=True)
def list_tokens(request: ApiRequest, page_query: Query[TokenListQuery]) -> object:
    """A user's tokens, newest first."""
    owner = owner_of(request, page_query.user_id)
    return page(_tokens().filter(user=owner), page_query, TokenOut.of)


@router.post("", response={201: NewTokenOut, **errors(404, 409)}, operation_id="createToken")
@requires(Scope.TOKENS)
@idempotent(201)
def create_token(request: ApiRequest, data: TokenIn) -> NewTokenOut:
    """Make a token. Its key is shown this once."""
    owner = owner_of(request, data.user_id)
    validate_expiry(data.expires_at, at=timezone.now())
    token, key = services.create_token(
        actor=request.auth.user, user=owner, **data.model_dump(exclude={"user_id"})
    )
    return _shown_once(_tokens().get(pk=token.pk), key)


@router.get("/{token_id}", response={200: TokenOut, **errors(404)}, operation_id="getToken")
@requires(Scope.TOKENS, is_read=True)
def get_token(request: ApiRequest, response: HttpResponse, token_id: PathId) -> TokenOut:
    """One token."""
    token = _manageable(request, token_id)
    set_etag(response, token_etag(token))
    return TokenOut.of(token)


@router.patch(
    "/{token_id}",
    response={200: TokenOut, **errors(404, 412)},
    operation_id="updateToken",
    openapi_extra=IF_MATCH,
)
@requires(Scope.TOKENS)
def update_token(request: ApiRequest, response: HttpResponse, token_id: PathId, data: TokenPatch) -> TokenOut:
    """Change a token; its next call meets the new rules."""
    names, actor = ("name", "expires_at", "allowed_models", "allowed_networks"), request.auth.user
    with transaction.atomic(durable=True):
        token = _locked(request, token_id)
        present = {name: getattr(token, name) for name in names} | {"quota_limit": token.quota.quota_limit}
        changes = data.model_dump(exclude_unset=True)
        validate_expiry(data.expires_at, at=timezone.now(), current=token.expires_at)
        is_enabled = changes.pop("status", None)
        kept = {name: value for name, value in changes.items() if value is not None or name in _NULLABLE}
        services.update_token(actor=actor, token=token, **{**present, **kept})
        if is_enabled is not None:
            services.set_token_status(actor=actor, token=token, is_enabled=is_enabled == "enabled")
        changed = _tokens().get(pk=token.pk)
    set_etag(response, token_etag(changed))
    return TokenOut.of(changed)


@router.delete(
    "/{token_id}",
    response={204: None, **errors(404, 412)},
    operation_id="deleteToken",
    openapi_extra=IF_MATCH,
)
@requires(Scope.TOKENS)
def delete_token(request: ApiRequest, token_id: PathId) -> HttpResponse:
    """Delete a token; what it used stays in the statement."""
    with transaction.atomic(durable=True):
        services.delete_token(actor=request.auth.user, token=_locked(request, token_id))
    return HttpResponse(status=204)


@router.post(
    "/{token_id}/rotate", response={200: NewTokenOut, **errors(404, 409)}, operation_id="rotateToken"
)
@requires(Scope.TOKENS)
@idempotent(200)
def rotate_token(request: ApiRequest, token_id: PathId) -> NewTokenOut:
    """Give a token a new key, shown this once; the old one stops working at once."""
    token = _locked(request, token_id)
    key = services.rotate_token(actor=request.auth.user, token=token)
    return _shown_once(_tokens().get(pk=token.pk), key)


_NULLABLE = ("quota_limit", "expires_at")


def _tokens() -> QuerySet[Token]:
    return Token.objects.select_related("quota", "user")


def _manageable(request: ApiRequest, token_id: int) -> Token:
    owners = User.objects.self_or_manageable_by(request.auth.user)
    token: Token = get_object_or_404(_tokens(), user__in=owners, pk=token_id)
    return token


def _locked(request: ApiRequest, token_id: int) -> Token:
    """The token, which stays as it is until the transaction ends, if it is the version that was read."""
    token = _manageable(request, token_id)
    TokenQuota.objects.select_for_update().get(pk=token.pk)
    check_if_match(request, token_etag(token))
    return token


def _shown_once(token: Token, key: str) -> NewTokenOut:
    return NewTokenOut(key=key, **TokenOut.of(token).model_dump())
