"""The price book: operators' prices and group multipliers, as versions that are never changed."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from billing.models import GroupPrice, ModelPrice
from billing.services.config import bump_version


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
        price.save()
        bump_version()
    return price


def withdraw_model_price(*, actor: User, model: str, at: datetime) -> None:
    """Go back to the catalogue's price; the model is refused if the catalogue has none."""
    with transaction.atomic(durable=True):
        ModelPrice.objects.create(model=model, is_withdrawn=True, created_by=actor, created_at=at)
        bump_version()


def set_group_multiplier(*, actor: User | None, group: str, multiplier: Decimal, at: datetime) -> GroupPrice:
    """Let members of a group pay a multiple of every price.

    :raises ValidationError: if the name or the number is not valid
    """
    price = GroupPrice(group=group, multiplier=multiplier, created_by=actor, created_at=at)
    price.full_clean(exclude=() if actor else ("created_by",))  # nobody: the first start
    with transaction.atomic(durable=True):
        price.save()
        bump_version()
    return price
