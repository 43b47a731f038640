"""Whose alerts, rules and destinations an operation is about: the caller's own, or the operators'."""

from typing import Annotated, Literal

from pydantic import Field

from accounts.api.auth import ApiRequest
from accounts.models import User
from accounts.services.permissions import PermissionDeniedError

OwnerName = Literal["me", "operators"]
Owner = Annotated[
    OwnerName | None,
    Field(
        description="Whose: the caller's own, or those of the operators together. For operators it is the"
        " latter by default, and for everybody else their own."
    ),
]


def owner_named(request: ApiRequest, name: OwnerName | None) -> User | None:
    """
    :returns: None for the operators together
    :raises PermissionDeniedError: if the caller asks for what is theirs and is none of them
    """
    caller = request.auth.user
    if name == "me" or (name is None and not caller.is_operator):
        return caller
    if not caller.is_operator:
        raise PermissionDeniedError
    return None


def name_of_owner(owner_id: int | None) -> OwnerName:
    """What an owner is called by who may see what they have."""
    return "operators" if owner_id is None else "me"
