"""Locks of rules and alerts; in the transaction that is under way."""

from typing import Any

from django.db.models import QuerySet

from accounts.models import SiteSettings, User


def lock(rows: QuerySet[Any]) -> None:
    """Lock rows by ascending key, as everybody does: an UPDATE of many takes them in whatever order."""
    ordered = rows.order_by("pk").select_for_update(of=("self",), no_key=True)
    list(ordered.values_list("pk", flat=True))


def lock_owner(owner: User | None) -> None:
    """Have whoever makes something for the same owner wait: what is there is counted first.

    :param owner: None for the operators together
    """
    lock(SiteSettings.objects.all() if owner is None else User.objects.filter(pk=owner.pk))
