"""People with their accounts: creating, changing, topping up, adjusting."""

from typing import Annotated

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router
from pydantic import AfterValidator, Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent, ledger_key
from accounts.models import Scope, User, UserStatus
from accounts.services import users as people
from billing.api.approvals import ProposalOut, entry_or_proposal
from billing.api.schemas import (
    Amount,
    EntryOut,
    Group,
    RoleName,
    StatusName,
    Username,
    UserOut,
    user_etag,
)
from billing.queries import users as queries
from billing.services import accounts as services
from billing.services import acts
from oneapi_admin.lib.api.etags import IF_MATCH, check_if_match, set_etag
from oneapi_admin.lib.api.fields import Body, Email, Memo, PathId, Quota, Text
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page
from oneapi_admin.lib.quota import MAX_QUOTA

router = Router(tags=["users"])
Password = Annotated[Text, Field(min_length=8, max_length=128)]
DisplayName = Annotated[Text, Field(max_length=64)]


def _not_nothing(quota: int) -> int:
    if quota == 0:
        raise ValueError("must not be 0")
    return quota


class UserIn(Body):
    username: Username
    password: Password
    email: Email = ""
    display_name: DisplayName = ""
    group: Group = "default"
    role: RoleName = Field("user", description="Only root may give a role other than `user`.")
    quota: Annotated[int, Field(ge=0, le=MAX_QUOTA)] = Field(0, description="First quota, in quota units.")


class UserPatch(Body):
    """What to change; what is left out stays."""

    email: Email | None = None
    display_name: DisplayName | None = None
    group: Group | None = None
    role: RoleName | None = None
    status: StatusName | None = None
    password: Password | None = None


class AmountIn(Amount):
    """Quota units or US dollars, one of the two."""

    memo: Memo = ""


class AdjustmentIn(Body):
    quota: Annotated[Quota, AfterValidator(_not_nothing), Field(json_schema_extra={"not": {"const": 0}})]
    memo: Memo


class UserListQuery(PageQuery):
    q: Annotated[Text, Field(max_length=64)] = Field(
        "", description="The beginning of user name, display name or e-mail, or the id."
    )
    status: StatusName | None = None
    role: RoleName | None = None
    group: Group | None = None


@router.get("", response=PageOut[UserOut], operation_id="listUsers")
@requires(Scope.USERS, is_read=True, is_for_operators=True)
def list_users(request: ApiRequest, page_query: Query[UserListQuery]) -> object:
    """The users that the caller may see, newest first."""
    filters = queries.UserFilters(
        q=page_query.q.strip(),
        status=page_query.status or "",
        role=page_query.role or "",
        group=page_query.group or "",
    )
    return page(queries.people(actor=request.auth.user, filters=filters), page_query, UserOut.of)


@router.post("", response={201: UserOut, **errors(409)}, operation_id="createUser")
@requires(Scope.USERS, is_for_operators=True)
@idempotent(201)
def create_user(request: ApiRequest, data: UserIn) -> UserOut:
    """Create a user with an account, and top it up."""
    fields = data.model_dump(exclude={"quota", "password"})
    _check_password(data.password, User(username=data.username, email=data.email))
    user = services.create_user(
        actor=request.auth.user, at=timezone.now(), quota=data.quota, password=data.password, **fields
    )
    return UserOut.of(_visible(request, user.pk))


@router.get("/{user_id}", response={200: UserOut, **errors(404)}, operation_id="getUser")
@requires(Scope.USERS, is_read=True, is_for_operators=True)
def get_user(request: ApiRequest, response: HttpResponse, user_id: PathId) -> UserOut:
    """One user."""
    person = _visible(request, user_id)
    set_etag(response, user_etag(person))
    return UserOut.of(person)


@router.patch(
    "/{user_id}",
    response={200: UserOut, **errors(404, 409, 412)},
    operation_id="updateUser",
    openapi_extra=IF_MATCH,
)
@requires(Scope.USERS, is_for_operators=True)
def update_user(request: ApiRequest, response: HttpResponse, user_id: PathId, data: UserPatch) -> UserOut:
    """Change a user's details, role, status or password."""
    with transaction.atomic(durable=True):
        locked = _locked(request, user_id)
        present = {
            name: getattr(locked, name) for name in ("display_name", "email", "role", "group", "status")
        }
        changes = data.model_dump(exclude_none=True, exclude={"password"})
        people.update_user(actor=request.auth.user, user=locked, **{**present, **changes})
        if data.password is not None:
            _check_password(data.password, locked)
            people.set_password(actor=request.auth.user, user=locked, password=data.password)
        changed = _visible(request, user_id)
    set_etag(response, user_etag(changed))
    return UserOut.of(changed)


@router.delete(
    "/{user_id}",
    response={204: None, **errors(404, 409, 412)},
    operation_id="deleteUser",
    openapi_extra=IF_MATCH,
)
@requires(Scope.USERS, is_for_operators=True)
def delete_user(request: ApiRequest, user_id: PathId) -> HttpResponse:
    """Delete a user: they can neither sign in nor call any more; their statement stays."""
    with transaction.atomic(durable=True):
        locked = _locked(request, user_id)
        present = {name: getattr(locked, name) for name in ("display_name", "email", "role", "group")}
        people.update_user(actor=request.auth.user, user=locked, **present, status=UserStatus.DELETED)
    return HttpResponse(status=204)


@router.post(
    "/{user_id}/top-ups",
    response={201: EntryOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="topUpUser",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(201)
def top_up(request: ApiRequest, user_id: PathId, data: AmountIn) -> Answer:
    """Give a user quota. With an order number as `Idempotency-Key` it can be sent any number of times.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    act = acts.TopUp(
        user_id=_visible(request, user_id).pk,
        quota=data.amount(),
        memo=data.memo,
        idempotency_key=ledger_key(request),
    )
    return entry_or_proposal(request, act)


@router.post(
    "/{user_id}/adjustments",
    response={201: EntryOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="adjustUserQuota",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(201)
def adjust(request: ApiRequest, user_id: PathId, data: AdjustmentIn) -> Answer:
    """Correct a user's quota, up or down; never below what calls in flight hold.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    act = acts.Adjustment(
        user_id=_visible(request, user_id).pk,
        quota=data.quota,
        memo=data.memo,
        idempotency_key=ledger_key(request),
    )
    return entry_or_proposal(request, act)


def _visible(request: ApiRequest, user_id: int) -> User:
    person: User = get_object_or_404(queries.people(actor=request.auth.user), pk=user_id)
    return person


def _locked(request: ApiRequest, user_id: int) -> User:
    """The person, who stays as they are until the transaction ends, if it is the version that was read."""
    locked: User = User.objects.select_for_update(no_key=True).get(pk=_visible(request, user_id).pk)
    check_if_match(request, user_etag(locked))
    return locked


def _check_password(password: str, person: User) -> None:
    try:
        validate_password(password, person)
    except ValidationError as exc:
        raise ValidationError({"password": exc.messages}) from exc
