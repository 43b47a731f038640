"""Batches of codes: making them, reading them while that is possible, ending them."""

import json
from typing import Annotated, Any, Literal

from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.api.schemas import Amount, Group, StatusName
from oneapi_admin.lib.api.fields import Body, Id, Moment, Name, PathId, PositiveQuota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page
from redemption import code_format, downloads, queries
from redemption.api.codes import CODE_EXAMPLE, CodeOut, CodeStatusName
from redemption.models import BatchState, BatchStatus, CodeBatch
from redemption.services import batches as services
from redemption.services import making, sealed

router = Router(tags=["codes"])
StateName = Literal[
    "creating", "scheduled", "active", "expired", "disabled", "revoked", "cancelled", "failed"
]
FormatName = Literal["csv", "xlsx", "txt", "pdf"]
Count = Annotated[int, Field(ge=0)]
Uses = Annotated[int, Field(ge=1, le=services.MAX_USES)]


class CodeBatchIn(Amount):
    """How many codes, and what each is worth: quota units or US dollars, one of the two."""

    name: Name = Field(description="For the operators: where the codes go, or what for.")
    count: Annotated[int, Field(ge=1, le=services.MAX_CODES, examples=[10])]
    note: Annotated[Text, Field(max_length=255)] = ""
    tag: Annotated[Text, Field(max_length=32, description="For finding batches that belong together.")] = ""
    valid_from: Annotated[Moment | None, Field(description="Null for at once.")] = None
    valid_until: Annotated[Moment | None, Field(description="Null for ever.")] = None
    uses_per_code: Uses = Field(1, description="1 for ordinary codes; more for gift codes that many share.")
    uses_per_user: Uses = Field(1, description="How many of a code's uses one person may have.")
    is_once_per_user: bool = Field(
        False, description="Whether a person may redeem one code of the batch only."
    )
    group: Group | None = Field(
        None, description="Only people of this group may redeem the codes; null for all."
    )

    def terms(self) -> services.BatchTerms:
        values: dict[str, Any] = {
            name: value for name, value in self if name not in ("quota", "usd", "group")
        }
        return services.BatchTerms(quota=self.amount(), group=self.group or "", **values)


class CodeBatchOut(Schema):
    """Codes that were made together."""

    id: Id
    name: str
    note: str
    tag: str
    quota: PositiveQuota = Field(description="What each use of a code is worth, in quota units.")
    count: int = Field(ge=1)
    valid_from: Time | None
    valid_until: Time | None
    uses_per_code: int = Field(ge=1)
    uses_per_user: int = Field(ge=1)
    is_once_per_user: bool
    group: str = Field(description="Empty for everybody.")
    state: StateName
    failure: str = Field(description="Why making the codes failed, where it did.")
    made_count: Count = Field(description="How many codes are made so far.")
    enabled_count: Count = Field(
        description="How many codes are neither used up nor disabled, whatever the batch's own state."
    )
    disabled_count: Count = Field(description="How many codes are disabled one by one.")
    used_count: Count = Field(description="How many codes are used up.")
    redeemed_count: Count = Field(description="How often codes were redeemed.")
    used_quota: Count = Field(description="What was redeemed, in quota units.")
    unused_quota: Count = Field(
        description="What is not redeemed and not disabled, in quota units, whatever the batch's own state."
    )
    readable_until: Time | None = Field(
        description="Until when the codes can be exported; null if not any more."
    )
    downloaded_at: Time | None = Field(description="When somebody first read the codes.")
    created_by_id: Id | None
    created_at: Time

    @classmethod
    def of(cls, batch: CodeBatch) -> "CodeBatchOut":
        """
        :param batch: from ``redemption.queries.batches``
        """
        return cls.model_validate(cls.values(batch))

    @staticmethod
    def values(batch: CodeBatch) -> dict[str, object]:
        now = timezone.now()
        own = {name: getattr(batch, name) for name in _SAME}
        return own | {
            "state": str(batch.state(now)),
            "made_count": _made_count(batch),
            "used_quota": batch.redeemed_quota,
            "readable_until": batch.sealed_until if sealed.is_readable(batch=batch, at=now) else None,
        }


def _made_count(batch: CodeBatch) -> int:
    """Others than those that are being made have all or none."""
    if batch.status == BatchStatus.CREATING:
        return making.made_count(batch) or 0
    return batch.count if batch.ready_at else 0


_SAME = (
    *("id", "name", "note", "tag", "quota", "count", "valid_from", "valid_until", "uses_per_code"),
    *("uses_per_user", "is_once_per_user", "group", "failure", "enabled_count", "disabled_count"),
    *("used_count", "redeemed_count", "unused_quota", "downloaded_at", "created_by_id", "created_at"),
)


class NewCodeBatchOut(CodeBatchOut):
    """A batch with its codes, where there are few; they can be exported for a while besides."""

    codes: list[str] | None = Field(
        examples=[[CODE_EXAMPLE]],
        description=f"Null for more than {making.AT_ONCE} codes, which a job makes: ask for the batch until"
        " it is `active`, then export them.",
    )


class CodeBatchPatch(Body):
    status: StatusName


class CodeBatchListQuery(PageQuery):
    state: StateName | None = None
    tag: Annotated[Text | None, Field(max_length=32)] = None


class CodeListQuery(PageQuery):
    status: CodeStatusName | None = None
    hint: Annotated[
        Text | None,
        Field(
            max_length=4,
            description="The last four characters, before the one that checks it, of one that was redeemed.",
        ),
    ] = None


class ExportQuery(Schema):
    format: FormatName = "csv"
    start: int = Field(0, ge=0, le=services.MAX_CODES, description="How many codes to pass over.")
    limit: int | None = Field(None, ge=1, le=services.MAX_CODES, description="How many codes; null for all.")


@router.get("", response=PageOut[CodeBatchOut], operation_id="listCodeBatches")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def list_batches(request: ApiRequest, page_query: Query[CodeBatchListQuery]) -> object:  # noqa: ARG001
    """All batches of codes, newest first."""
    state = None if page_query.state is None else BatchState(page_query.state)
    found = queries.batches(state=state, at=timezone.now())
    if page_query.tag is not None:
        found = found.filter(tag=page_query.tag)
    return page(found, page_query, CodeBatchOut.of)


def _with_codes(request: ApiRequest, body: str) -> str:
    """Put the codes into the answer, if they are made and can be read; they are stored nowhere else."""
    answer, now = json.loads(body), timezone.now()
    batch = _batch(answer["id"])
    if batch.count <= making.AT_ONCE and sealed.is_readable(batch=batch, at=now):
        answer["codes"] = list(sealed.open_codes(actor=request.auth.user, batch=batch, how="json", at=now))
    return json.dumps(answer, ensure_ascii=False)


@router.post("", response={201: NewCodeBatchOut, **errors(409)}, operation_id="createCodeBatch")
@requires(Scope.CODES, is_for_operators=True)
@idempotent(201, complete=_with_codes)
def create_batch(request: ApiRequest, data: CodeBatchIn) -> NewCodeBatchOut:
    """Make codes: up to 1,000 at once, more by a job. They can be exported until `readable_until`."""
    now = timezone.now()
    batch = services.create_batch(actor=request.auth.user, terms=data.terms(), at=now)
    if batch.count <= making.AT_ONCE:
        making.make_codes(batch=batch, at=now)
    else:
        services.start_making(batch)
    return NewCodeBatchOut.model_validate({"codes": None, **CodeBatchOut.values(_batch(batch.pk))})


@router.get("/{batch_id}", response={200: CodeBatchOut, **errors(404)}, operation_id="getCodeBatch")
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def get_batch(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:  # noqa: ARG001
    """One batch of codes."""
    return CodeBatchOut.of(_batch(batch_id))


@router.patch("/{batch_id}", response={200: CodeBatchOut, **errors(404, 409)}, operation_id="updateCodeBatch")
@requires(Scope.CODES, is_for_operators=True)
def update_batch(request: ApiRequest, batch_id: PathId, data: CodeBatchPatch) -> CodeBatchOut:
    """Disable all codes of a batch, or let them be redeemed again."""
    is_enabled = data.status == "enabled"
    services.set_batch_status(actor=request.auth.user, batch=_batch(batch_id), is_enabled=is_enabled)
    return CodeBatchOut.of(_batch(batch_id))


@router.post(
    "/{batch_id}/cancel", response={200: CodeBatchOut, **errors(404, 409)}, operation_id="cancelCodeBatch"
)
@requires(Scope.CODES, is_for_operators=True)
def cancel_batch(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:
    """Stop making the codes of a batch; there will be none."""
    services.cancel_batch(actor=request.auth.user, batch=_batch(batch_id))
    return CodeBatchOut.of(_batch(batch_id))


@router.post(
    "/{batch_id}/retry", response={200: CodeBatchOut, **errors(404, 409)}, operation_id="retryCodeBatch"
)
@requires(Scope.CODES, is_for_operators=True)
def retry_batch(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:
    """Have the codes of a batch made whose making has failed."""
    services.retry_batch(actor=request.auth.user, batch=_batch(batch_id))
    return CodeBatchOut.of(_batch(batch_id))


@router.post(
    "/{batch_id}/revoke", response={200: CodeBatchOut, **errors(404, 409)}, operation_id="revokeCodeBatch"
)
@requires(Scope.CODES, is_for_operators=True)
def revoke_batch(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:
    """End a batch for good: what is not redeemed never will be. What was redeemed stays with who has it."""
    services.revoke_batch(actor=request.auth.user, batch=_batch(batch_id))
    return CodeBatchOut.of(_batch(batch_id))


@router.post(
    "/{batch_id}/confirm-download",
    response={200: CodeBatchOut, **errors(404, 409)},
    operation_id="confirmCodeDownload",
)
@requires(Scope.CODES, is_for_operators=True)
def confirm_download(request: ApiRequest, batch_id: PathId) -> CodeBatchOut:
    """Say that you have the codes: what they can be read from is deleted now, and not at `readable_until`."""
    sealed.forget_codes(actor=request.auth.user, batch=_batch(batch_id))
    return CodeBatchOut.of(_batch(batch_id))


@router.get(
    "/{batch_id}/codes", response={200: PageOut[CodeOut], **errors(404)}, operation_id="listCodesOfBatch"
)
@requires(Scope.CODES, is_read=True, is_for_operators=True)
def list_codes(request: ApiRequest, batch_id: PathId, page_query: Query[CodeListQuery]) -> object:  # noqa: ARG001
    """The codes of a batch, newest first; never in clear."""
    batch = get_object_or_404(CodeBatch, pk=batch_id)
    hint = code_format.normalized(page_query.hint or "")
    found = queries.codes_of(batch, hint=hint, status=page_query.status or "")
    return page(found.select_related("batch"), page_query, CodeOut.of)


@router.get(
    "/{batch_id}/export",
    response={200: None, **errors(404, 409, 410)},
    operation_id="exportCodes",
    openapi_extra=downloads.DOCUMENTED,
)
@requires(Scope.CODES, is_for_operators=True)
def export_codes(request: ApiRequest, batch_id: PathId, query: Query[ExportQuery]) -> StreamingHttpResponse:
    """The codes of a batch in clear, as a file, while they can be read."""
    return downloads.codes_file(
        request,
        actor=request.auth.user,
        batch=_batch(batch_id),
        name=query.format,
        start=query.start,
        limit=query.limit,
    )


def _batch(batch_id: int) -> CodeBatch:
    batch: CodeBatch = get_object_or_404(queries.batches(), pk=batch_id)
    return batch
