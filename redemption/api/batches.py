"""Redeeming codes, and for operators making them and following what became of them."""

from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.api.schemas import Amount, EntryOut, StatusName
from oneapi_admin.lib.api.fields import Body, Id, Name, PathId, PositiveQuota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page
from oneapi_admin.lib.errors import DomainError
from redemption import queries, services
from redemption.models import CodeBatch, RedemptionCode

redemptions = Router(tags=["redemptions"])
batches = Router(tags=["codes"])
codes = Router(tags=["codes"])
CodeStatusName = Literal["enabled", "disabled", "used"]
Count = Annotated[int, Field(ge=0)]


class CodeUsedError(DomainError):
    code = "code_used"
    http_status = 409
    message = _("The code …%(hint)s was redeemed and stays as it is.")


class RedemptionIn(Body):
    code: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=128,
            examples=["7K3M-9PQR-2ABC-XY4Z"],
            description="As it was given: case, spaces and dashes do not matter.",
        ),
    ]


class CodeBatchIn(Amount):
    """How many codes, and what each is worth: quota units or US dollars, one of the two."""

    name: Name = Field(description="For the operators: where the codes go, or what for.")
    count: Annotated[int, Field(ge=1, le=services.MAX_BATCH, examples=[10])]


class CodeBatchOut(Schema):
    """Codes that were made together."""

    id: Id
    name: str
    quota: PositiveQuota = Field(description="What each code is worth, in quota units.")
    count: int = Field(ge=1)
    enabled_count: Count = Field(description="How many can still be redeemed.")
    disabled_count: Count
    used_count: Count
    used_quota: Count = Field(description="What was redeemed, in quota units.")
    unused_quota: Count = Field(description="What can still be redeemed, in quota units.")
    created_by_id: Id
    created_at: Time

    @classmethod
    def of(cls, batch: CodeBatch) -> "CodeBatchOut":
        """
        :param batch: from ``redemption.queries.batches``
        """
        return cls.model_validate(batch, from_attributes=True)


class NewCodeBatchOut(CodeBatchOut):
    """A batch with its codes, which are shown this once."""

    codes: list[str] = Field(examples=[["7K3M-9PQR-2ABC-XY4Z"]])


class CodeOut(Schema):
    """A code; of itself it has only the last four characters."""

    id: Id
    batch_id: Id
    hint: str = Field(description="Its last four characters.", examples=["XY4Z"])
    quota: PositiveQuota
    status: CodeStatusName
    redeemed_by_id: Id | None
    redeemed_at: Time | None

    @classmethod
    def of(cls, code: RedemptionCode) -> "CodeOut":
        return cls.model_validate(code, from_attributes=True)


class CodePatch(Body):
    status: StatusName


class CodeListQuery(PageQuery):
    status: CodeStatusName | None = None


@redemptions.post("", response={201: EntryOut, **errors(409)}, operation_id="redeemCode")
@requires(Scope.REDEEM)
@idempotent(201)
def redeem(request: ApiRequest, data: RedemptionIn) -> EntryOut:
    """Spend a code: its quota is added to the caller's. Every refusal of a code is the same one."""
    entry = services.redeem(code=data.code, user=request.auth.user, at=timezone.now())
    return EntryOut.of(entry)


@batches.get("", response=PageOut[CodeBatchOut], operation_id="listCodeBatches")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def list_batches(request: ApiRequest, page_query: Query[PageQuery]) -> object:  # noqa: ARG001
    """All batches of codes, newest first."""
    return page(queries.batches(), page_query, CodeBatchOut.of)


@batches.post("", response={201: NewCodeBatchOut, **errors(409)}, operation_id="createCodeBatch")
@requires(Scope.CODES, is_for_operators=True)
@idempotent(201)
def create_batch(request: ApiRequest, data: CodeBatchIn) -> NewCodeBatchOut:
    """Make codes. They are shown this once and stored nowhere in clear."""
    batch, plaintexts = services.create_batch(
        actor=request.auth.user,
        name=data.name,
        quota=data.amount(),
        count=data.count,
        at=timezone.now(),
    )
    made = CodeBatchOut.of(queries.batches().get(pk=batch.pk))
    return NewCodeBatchOut(codes=plaintexts, **made.model_dump())


@batches.get("/{batch_id}", response={200: CodeBatchOut, **errors(404)}, operation_id="getCodeBatch")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def get_batch(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:  # noqa: ARG001
    """One batch of codes."""
    return CodeBatchOut.of(get_object_or_404(queries.batches(), pk=batch_id))


@batches.get(
    "/{batch_id}/codes", response={200: PageOut[CodeOut], **errors(404)}, operation_id="listCodesOfBatch"
)
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def list_codes(request: ApiRequest, batch_id: PathId, page_query: Query[CodeListQuery]) -> object:  # noqa: ARG001
    """The codes of a batch, newest first; never in clear."""
    batch = get_object_or_404(CodeBatch, pk=batch_id)
    found = RedemptionCode.objects.filter(batch=batch)
    if page_query.status is not None:
        found = found.filter(status=page_query.status)
    return page(found, page_query, CodeOut.of)


@codes.patch("/{code_id}", response={200: CodeOut, **errors(404, 409)}, operation_id="updateCode")
@requires(Scope.CODES, is_for_operators=True)
def update_code(request: ApiRequest, code_id: PathId, data: CodePatch) -> CodeOut:
    """Disable a code, or let it be redeemed again; a used one stays used."""
    code = get_object_or_404(RedemptionCode, pk=code_id)
    is_enabled = data.status == "enabled"
    if not services.set_code_status(actor=request.auth.user, code=code, is_enabled=is_enabled):
        raise CodeUsedError(hint=code.hint)
    return CodeOut.of(RedemptionCode.objects.get(pk=code.pk))
