"""Whose rules and destinations somebody may change."""

from accounts.models import User
from accounts.services.permissions import PermissionDeniedError


def check_may_act_for(*, actor: User | None, owner: User | None) -> None:
    """
    :param actor: None for the command line
    :param owner: None for what belongs to the operators together
    :raises PermissionDeniedError: if it is somebody else's, or the operators' and the actor is none
    """
    if actor is None:
        return
    if owner is None and not actor.is_operator:
        raise PermissionDeniedError
    if owner is not None and owner.pk != actor.pk:
        raise PermissionDeniedError
