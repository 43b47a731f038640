"""Many things at once, with a look at what would happen first."""

from typing import Annotated

from django.db import transaction
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent, ledger_key
from accounts.models import Scope
from billing.api.schemas import Amount
from billing.models import LedgerEntry
from billing.services.bulk import TopUp, top_up_many
from oneapi_admin.lib.api.fields import Body, Id, Memo, Quota
from oneapi_admin.lib.errors import DomainError

router = Router(tags=["bulk"])
MAX_ITEMS = 1000


class TopUpItemIn(Amount):
    """Quota units or US dollars, one of the two, for one user."""

    user_id: Id
    memo: Memo = ""


class BulkTopUpIn(Body):
    items: Annotated[list[TopUpItemIn], Field(min_length=1, max_length=MAX_ITEMS)]


class TopUpItemOut(Schema):
    """What became of one item: `entry_id` and `balance_after`, or `code` and `detail` of the refusal."""

    user_id: Id
    is_done: bool
    entry_id: Id | None = Field(description="Null when refused, and in a preview.")
    amount: Quota
    balance_after: Quota | None
    code: str | None = Field(description="Why it was refused; stable.")
    detail: str | None


class BulkTopUpOut(Schema):
    is_preview: bool
    done_count: int = Field(ge=0)
    refused_count: int = Field(ge=0)
    total: int = Field(description="Of what was given, in quota units.")
    items: list[TopUpItemOut] = Field(description="In the order of the request.")


@router.post("/top-ups", response=BulkTopUpOut, operation_id="topUpUsers")
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def top_up_users(
    request: ApiRequest,
    data: BulkTopUpIn,
    preview: Annotated[bool, Query(description="Only say what would happen.")] = False,  # noqa: FBT002
) -> BulkTopUpOut:
    """Give many users quota. An item that is refused does not hinder the others; each is reported."""
    key = None if preview else ledger_key(request)
    wanted = [
        TopUp(
            user_id=item.user_id,
            quota=item.amount(),
            memo=item.memo,
            idempotency_key=key and f"{key}:{number}",
        )
        for number, item in enumerate(data.items)
    ]
    with transaction.atomic():
        results = top_up_many(actor=request.auth.user, items=wanted, at=timezone.now())
        transaction.set_rollback(preview)
    items = [_item(item, result, preview) for item, result in zip(wanted, results, strict=True)]
    done = [item for item in items if item.is_done]
    return BulkTopUpOut(
        is_preview=preview,
        done_count=len(done),
        refused_count=len(items) - len(done),
        total=sum(item.amount for item in done),
        items=items,
    )


def _item(item: TopUp, result: LedgerEntry | DomainError, preview: bool) -> TopUpItemOut:  # noqa: FBT001
    is_done = isinstance(result, LedgerEntry)
    return TopUpItemOut(
        user_id=item.user_id,
        is_done=is_done,
        entry_id=result.pk if isinstance(result, LedgerEntry) and not preview else None,
        amount=item.quota,
        balance_after=result.balance_after if isinstance(result, LedgerEntry) else None,
        code=None if isinstance(result, LedgerEntry) else result.code,
        detail=None if isinstance(result, LedgerEntry) else str(result),
    )
