"""Keys for this API: one's own, and for operators those of users below them."""

from datetime import timedelta
from typing import Annotated, Literal

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, owner_of, requires
from accounts.api.idempotency import idempotent
from accounts.models import AccessToken, Scope, User
from accounts.services import access_tokens as services
from accounts.validators import validate_expiry
from oneapi_admin.lib.api.fields import Body, Id, Moment, Name, PathId, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["access tokens"])
user_router = Router(tags=["access tokens"])
MAX_GRACE_S = 7 * 24 * 3600
ScopeName = Literal["read", "tokens", "redeem", "users", "topup", "codes", "channels", "admin"]


class AccessTokenIn(Body):
    name: Name
    scopes: Annotated[list[ScopeName], Field(min_length=1, max_length=len(Scope.values))]
    expires_at: Moment | None = None


class RotationIn(Body):
    grace_seconds: int = Field(
        0, ge=0, le=MAX_GRACE_S, description="How long the present key goes on working."
    )


class AccessTokenOut(Schema):
    id: Id
    user_id: Id
    name: str
    key_prefix: str = Field(description="The key's beginning and end, to tell them apart.")
    scopes: list[ScopeName]
    expires_at: Time | None
    last_used_at: Time | None
    last_used_ip: str | None
    created_at: Time

    @classmethod
    def of(cls, token: AccessToken) -> "AccessTokenOut":
        return cls.model_validate(token, from_attributes=True)


class NewAccessTokenOut(AccessTokenOut):
    """An access token with its key, which is shown this once."""

    key: str = Field(examples=["oa-…"])


class AccessTokenListQuery(PageQuery):
    user_id: Id | None = Field(None, description="Whose; the caller's by default. For operators.")


@router.get("", response={200: PageOut[AccessTokenOut], **errors(404)}, operation_id="listAccessTokens")
@requires(Scope.ADMIN, is_read=True)
def list_access_tokens(request: ApiRequest, page_query: Query[AccessTokenListQuery]) -> object:
    """A user's access tokens, newest first."""
    owner = owner_of(request, page_query.user_id)
    return page(AccessToken.objects.filter(user=owner), page_query, AccessTokenOut.of)


@router.post("", response={201: NewAccessTokenOut, **errors(409)}, operation_id="createAccessToken")
@requires(Scope.ADMIN)
@idempotent(201)
def create_access_token(request: ApiRequest, data: AccessTokenIn) -> NewAccessTokenOut:
    """Make an access token for oneself. Its key is shown this once."""
    return _create(request, request.auth.user, data)


@user_router.post(
    "/{user_id}/access-tokens",
    response={201: NewAccessTokenOut, **errors(404, 409)},
    operation_id="createAccessTokenForUser",
)
@requires(Scope.ADMIN, is_for_operators=True)
@idempotent(201)
def create_access_token_for(request: ApiRequest, user_id: PathId, data: AccessTokenIn) -> NewAccessTokenOut:
    """Make an access token for a user below the caller. Its key is shown this once."""
    return _create(request, owner_of(request, user_id), data)


@router.post(
    "/{token_id}/rotate",
    response={200: NewAccessTokenOut, **errors(404, 409)},
    operation_id="rotateAccessToken",
)
@requires(Scope.ADMIN)
@idempotent(200)
def rotate_access_token(request: ApiRequest, token_id: PathId, data: RotationIn) -> NewAccessTokenOut:
    """Give an access token a new key, shown this once."""
    token = _manageable(request, token_id)
    grace = timedelta(seconds=data.grace_seconds)
    key = services.rotate_access_token(actor=request.auth.user, token=token, grace=grace, at=timezone.now())
    token.refresh_from_db()
    return NewAccessTokenOut(key=key, **AccessTokenOut.of(token).model_dump())


@router.delete("/{token_id}", response={204: None, **errors(404)}, operation_id="revokeAccessToken")
@requires(Scope.ADMIN)
def revoke_access_token(request: ApiRequest, token_id: PathId) -> HttpResponse:
    """Revoke an access token; it stops working at once."""
    with transaction.atomic(durable=True):
        services.revoke_access_token(actor=request.auth.user, token=_manageable(request, token_id))
    return HttpResponse(status=204)


def _create(request: ApiRequest, owner: User, data: AccessTokenIn) -> NewAccessTokenOut:
    validate_expiry(data.expires_at, at=timezone.now())
    token, key = services.create_access_token(
        actor=request.auth.user,
        user=owner,
        name=data.name,
        scopes=list(data.scopes),
        expires_at=data.expires_at,
    )
    return NewAccessTokenOut(key=key, **AccessTokenOut.of(token).model_dump())


def _manageable(request: ApiRequest, token_id: int) -> AccessToken:
    owners = User.objects.self_or_manageable_by(request.auth.user)
    token: AccessToken = get_object_or_404(AccessToken, user__in=owners, pk=token_id)
    return token
