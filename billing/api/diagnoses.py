"""What an error of a provider means."""

import json
from typing import Annotated, Any, Literal

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Router, Schema
from pydantic import AfterValidator, Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.upstream.diagnoses.bodies import MAX_BYTES
from billing.upstream.diagnoses.diagnosing import Diagnosis, diagnose
from billing.upstream.diagnoses.providers import PROVIDERS
from oneapi_admin.lib.api.fields import Body, Time

router = Router(tags=["diagnoses"])

MOST_HEADERS = 100

ProviderName = Annotated[str, Field(pattern=f"^({'|'.join(PROVIDERS)})$", examples=["openai"])]
HeaderName = Annotated[str, Field(min_length=1, max_length=128)]
HeaderValue = Annotated[str, Field(max_length=8192)]


def _is_short(body: Any) -> Any:
    """Refuse what is larger than what is read of an answer."""
    try:
        size = len(_bytes(body))
    except RecursionError as exc:
        raise ValueError(_("It nests too deep.")) from exc
    if size > MAX_BYTES:
        raise ValueError(_("It is larger than 64 KiB."))
    return body


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return text.encode("utf-8", "replace")


class DiagnosisIn(Body):
    """What a provider answered."""

    status: int = Field(ge=100, le=599, examples=[429])
    headers: dict[HeaderName, HeaderValue] = Field(
        {},
        max_length=MOST_HEADERS,
        description="As they came, in upper or lower case.",
        examples=[{"retry-after": "20"}],
    )
    body: Annotated[Any, AfterValidator(_is_short)] = Field(
        None,
        description="As text, or as the JSON that it is; 64 KiB at most.",
        examples=[{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}],
    )
    provider: ProviderName | None = Field(
        None, description="Whose it is; by default the headers and the body tell, where they do."
    )


class MatchOut(Schema):
    """What the diagnosis goes by; without what looks like a key."""

    rule: str = Field(examples=["openai.insufficient_quota"])
    source: str = Field(description="The page that the rule was taken from; empty where no rule fits.")
    code: str
    type: str
    message: str = Field(description="At most 500 characters.")


class DiagnosisOut(Schema):
    """What an error means and what to do. The texts are in the caller's language."""

    error_class: Literal[
        "rate_limited",
        "window_quota",
        "spend_limit",
        "credit_exhausted",
        "plan_denied",
        "auth_invalid",
        "account_suspended",
        "overloaded",
        "too_large",
        "bad_request",
        "unknown",
        "not_an_error",
    ]
    certainty: Literal["certain", "likely", "unknown"]
    provider: str | None = Field(description="Who sent it; null where that cannot be told.")
    meaning: str
    remedy: str = Field(description="What to do about it; empty where nothing is wrong.")
    lasts: str = Field(description="How long it lasts; empty where nothing is wrong.")
    responsible: Literal["caller", "operator", "provider"] | None = Field(
        description="Who can do something about it; null where nobody has to, or nobody knows."
    )
    channel: Literal["pause", "disable", "leave"] = Field(
        description="What to do with the channel; nothing does it by itself."
    )
    is_retryable: bool = Field(description="Whether the same call may succeed without anything being done.")
    retry_after_s: int | None = Field(
        description="After how many seconds; a day at most. Null where waiting does not help."
    )
    ends_at: Time | None = Field(description="When it is over; null where nobody said.")
    matched: MatchOut

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> "DiagnosisOut":
        names = (
            *("error_class", "certainty", "provider", "meaning", "remedy", "lasts", "responsible"),
            *("is_retryable", "retry_after_s", "ends_at"),
        )
        matched = diagnosis.matched
        return cls(
            channel=diagnosis.advice.value,
            matched=MatchOut(
                rule=matched.rule,
                source=matched.source,
                code=matched.code,
                type=matched.type,
                message=matched.message,
            ),
            **{name: getattr(diagnosis, name) for name in names},
        )


@router.post("", response=DiagnosisOut, operation_id="diagnoseError")
@requires(Scope.READ)
def create_diagnosis(request: ApiRequest, data: DiagnosisIn) -> DiagnosisOut:  # noqa: ARG001
    """Say what an upstream error means, how long it lasts and what to do about it.

    Nothing is kept, and no provider is asked.
    """
    diagnosis = diagnose(
        status=data.status,
        body=_bytes(data.body),
        headers=data.headers,
        provider=data.provider,
        at=timezone.now(),
    )
    return DiagnosisOut.of(diagnosis)
