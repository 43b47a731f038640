"""Whose access token this is."""

from django.shortcuts import get_object_or_404
from ninja import Router

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.api.schemas import UserOut
from billing.queries import users as queries

router = Router(tags=["me"])


@router.get("", response=UserOut, operation_id="getMe")
@requires(Scope.READ)
def get_me(request: ApiRequest) -> UserOut:
    """The caller and their quota account."""
    actor = request.auth.user
    return UserOut.of(get_object_or_404(queries.people(actor=actor), pk=actor.pk))
