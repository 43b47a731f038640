"""The price book: operators' prices and group multipliers, as versions that are never changed."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import GroupPrice, ModelPrice
from billing.services.config import bump_version

_PRICE = ("input_price", "cached_input_price", "output_price", "request_price", "max_output_tokens")


def set_model_price(
    *,
    actor: User | None,
    model: str,
    input_price: Decimal | None = None,
    cached_input_price: Decimal | None = None,
    output_price: Decimal | None = None,
    request_price: Decimal | None = None,
    max_output_tokens: int | None = None,
    at: datetime,
) -> ModelPrice:
    """Price a model in US dollars: per 1,000,000 tokens (input and output), or per request.

    :raises ValidationError: if both or neither kind of price is given, or one is negative
    """
    price = ModelPrice(
        model=model,
        input_price=input_price,
        cached_input_price=cached_input_price,
        output_price=output_price,
        request_price=request_price,
        max_output_tokens=max_output_tokens,
        created_by=actor,
        created_at=at,
    )
    price.full_clean(exclude=() if actor else ("created_by",))  # nobody: the first start
    with transaction.atomic(durable=True):
        changes = audit.differences(_newest(model), audit.values(price, *_PRICE))
        price.save()
        bump_version()
        audit.record(
            action=AuditAction.MODEL_PRICE_SET, actor=actor, subject=price, name=model, changes=changes
        )
    return price


def withdraw_model_price(*, actor: User, model: str, at: datetime) -> None:
    """Go back to the catalogue's price; the model is refused if the catalogue has none."""
    with transaction.atomic(durable=True):
        price = ModelPrice.objects.create(model=model, is_withdrawn=True, created_by=actor, created_at=at)
        bump_version()
        audit.record(action=AuditAction.MODEL_PRICE_WITHDRAWN, actor=actor, subject=price, name=model)


def set_group_multiplier(*, actor: User | None, group: str, multiplier: Decimal, at: datetime) -> GroupPrice:
    """Let members of a group pay a multiple of every price.

    :raises ValidationError: if the name or the number is not valid
    """
    price = GroupPrice(group=group, multiplier=multiplier, created_by=actor, created_at=at)
    price.full_clean(exclude=() if actor else ("created_by",))  # nobody: the first start
    with transaction.atomic(durable=True):
        previous = GroupPrice.objects.filter(group=group).order_by("-pk").first()
        before = audit.values(previous, "multiplier") if previous else {}
        changes = audit.differences(before, audit.values(price, "multiplier"))
        price.save()
        bump_version()
        audit.record(
            action=AuditAction.GROUP_PRICE_SET, actor=actor, subject=price, name=group, changes=changes
        )
    return price


def _newest(model: str) -> dict[str, Any]:
    """The operators' price of a model until now."""
    price = ModelPrice.objects.filter(model=model).order_by("-pk").first()
    return audit.values(price, *_PRICE) if price else {}
