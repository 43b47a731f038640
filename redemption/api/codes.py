"""Single codes: finding one, disabling it, taking back what it gave."""

from typing import Annotated, Literal

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from ninja import Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent, ledger_key
from accounts.models import Scope
from billing.api.approvals import ProposalOut, entry_or_proposal
from billing.api.ledger import ReversalIn
from billing.api.schemas import EntryOut, StatusName
from billing.models import LedgerEntry
from billing.queries.ledger import visible_entries
from billing.services.acts import Reversal
from oneapi_admin.lib.api.fields import Body, Id, PathId, PositiveQuota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.errors import DomainError
from redemption import queries
from redemption.models import RedemptionCode
from redemption.services.codes import set_code_status

router = Router(tags=["codes"])
CodeStatusName = Literal["enabled", "disabled", "used"]
CODE_EXAMPLE = "7K3M-9PQR-2ABC-XY4Z-M"
ENTRIES_SHOWN = 200
"""Of a code that many share."""


class NotRedeemedError(DomainError):
    code = "not_redeemed"
    http_status = 409
    message = _("The code …%(hint)s was not redeemed: there is nothing to take back.")


class WhichRedemptionError(DomainError):
    code = "which_redemption"
    http_status = 409
    message = _("The code …%(hint)s was redeemed %(count)s times.")
    remedy = _("Name one of its entries in “entry_id”.")


class CodeOut(Schema):
    """A code; of itself it has only the last four characters."""

    id: Id
    batch_id: Id
    hint: str = Field(
        description="Its last four characters, before the one that checks it.", examples=["XY4Z"]
    )
    quota: PositiveQuota = Field(description="What each use is worth, in quota units.")
    status: CodeStatusName
    used_count: int = Field(ge=0, description="How often it was redeemed.")
    uses_left: int = Field(ge=0, description="How often it was not redeemed yet, disabled or not.")
    redeemed_by_id: Id | None = Field(description="By whom last.")
    redeemed_at: Time | None = Field(description="When last.")

    @classmethod
    def of(cls, code: RedemptionCode) -> "CodeOut":
        """
        :param code: with its ``batch``
        """
        return cls(
            id=code.pk,
            batch_id=code.batch_id,
            hint=code.hint,
            quota=code.batch.quota,
            status=code.status,  # type: ignore[arg-type]  # the schema's names are the model's
            used_count=code.used_count,
            uses_left=code.batch.uses_per_code - code.used_count,
            redeemed_by_id=code.redeemed_by_id,
            redeemed_at=code.redeemed_at,
        )


class CodeDetailOut(CodeOut):
    """A code with the entries that it made."""

    entries: list[EntryOut] = Field(
        description=f"Those that the caller may see, the first {ENTRIES_SHOWN}: ask for redemptions for more."
    )


class CodePatch(Body):
    status: StatusName


class CodeSearchIn(Body):
    """Not in the address, where logs would keep it."""

    code: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=128,
            examples=[CODE_EXAMPLE],
            description="In any form in which it can be redeemed, or the last four characters, as they stand"
            " in statements, of one that was redeemed.",
        ),
    ]


class CodeSearchOut(Schema):
    items: list[CodeOut] = Field(description="Newest first, 50 at most; one or none for a whole code.")


class CodeReversalIn(ReversalIn):
    entry_id: Id | None = Field(None, description="Which of the code's entries; needed if there are several.")


@router.post("/search", response=CodeSearchOut, operation_id="searchCodes")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def search_codes(request: ApiRequest, data: CodeSearchIn) -> CodeSearchOut:  # noqa: ARG001
    """Find a code by itself or, where it was redeemed, by its last four characters."""
    found = queries.codes_found(data.code).order_by("-pk")[:50]
    return CodeSearchOut(items=[CodeOut.of(code) for code in found])


@router.get("/{code_id}", response={200: CodeDetailOut, **errors(404)}, operation_id="getCode")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def get_code(request: ApiRequest, code_id: PathId) -> CodeDetailOut:
    """A code and what it gave to whom."""
    code = _code(code_id)
    entries = _entries(request, code).order_by("pk")[:ENTRIES_SHOWN]
    return CodeDetailOut(entries=[EntryOut.of(entry) for entry in entries], **dict(CodeOut.of(code)))


@router.patch("/{code_id}", response={200: CodeOut, **errors(404, 409)}, operation_id="updateCode")
@requires(Scope.CODES, is_for_operators=True)
def update_code(request: ApiRequest, code_id: PathId, data: CodePatch) -> CodeOut:
    """Disable a code, or let it be redeemed again; one that is used up stays so."""
    set_code_status(actor=request.auth.user, code=_code(code_id), is_enabled=data.status == "enabled")
    return CodeOut.of(_code(code_id))


@router.post(
    "/{code_id}/reverse",
    response={201: EntryOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="reverseCode",
)
@requires(Scope.CODES, is_for_operators=True)
@idempotent(201)
def reverse_code(request: ApiRequest, code_id: PathId, data: CodeReversalIn) -> Answer:
    """Take back what a code gave, as far as it is still there; the code stays used.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    act = Reversal(
        entry_id=_entry_id(request, _code(code_id), data.entry_id),
        memo=data.memo,
        allow_partial=data.allow_partial,
        idempotency_key=ledger_key(request),
    )
    return entry_or_proposal(request, act)


def _entry_id(request: ApiRequest, code: RedemptionCode, wanted: int | None) -> int:
    """The entry to take back: the one that is named, or the only one.

    :raises NotRedeemedError: if there is none
    :raises WhichRedemptionError: if there are several and none is named
    """
    entries = _entries(request, code)
    if wanted is not None:
        return int(get_object_or_404(entries, pk=wanted).pk)
    if code.used_count == 0:
        raise NotRedeemedError(hint=code.hint)
    if code.used_count > 1:
        raise WhichRedemptionError(hint=code.hint, count=code.used_count)
    return int(get_object_or_404(entries).pk)


def _entries(request: ApiRequest, code: RedemptionCode) -> QuerySet[LedgerEntry]:
    return visible_entries(request.auth.user).filter(redemptions__code=code)


def _code(code_id: int) -> RedemptionCode:
    code: RedemptionCode = get_object_or_404(RedemptionCode.objects.select_related("batch"), pk=code_id)
    return code
