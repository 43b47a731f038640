"""The refusals that arise in the relay itself, and OpenAI's envelope for all of them."""

import json
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation.trans_real import get_supported_language_variant, parse_accept_lang_header

from billing.services.holds import QuotaExhaustedError
from oneapi_admin.lib.errors import DomainError

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class InvalidRequestError(DomainError):
    code = "invalid_request"

    def __init__(self, *, reason: Promise, param: str | None, **names: Any) -> None:
        super().__init__(param=param, **names)
        self.message = reason  # type: ignore[misc]


class MissingTokenError(DomainError):
    code = "invalid_api_key"
    http_status = 401
    message = _("No token was sent.")
    remedy = _("Send the header “Authorization: Bearer sk-…” with a key from the Tokens page.")


class NotFoundError(DomainError):
    code = "invalid_url"
    http_status = 404
    message = _("Invalid URL (%(method)s %(path)s).")


class MethodNotAllowedError(DomainError):
    code = "method_not_allowed"
    http_status = 405
    message = _("This URL does not take %(method)s.")
    remedy = _("Use %(allowed)s.")


class BodyTooLargeError(DomainError):
    code = "request_too_large"
    http_status = 413
    message = _("The request's body is larger than %(limit)s bytes.")


class BodyTimeoutError(DomainError):
    code = "request_timeout"
    http_status = 408
    message = _("The request's body did not arrive in time.")


class ModelNotFoundError(DomainError):
    code = "model_not_found"
    http_status = 404
    message = _("The model “%(model)s” does not exist here, or not for your group “%(group)s”.")
    remedy = _("GET /v1/models lists what you can call.")


class ModelNotPricedError(DomainError):
    code = "model_not_priced"
    http_status = 404
    message = _("The model “%(model)s” has no price here, so it cannot be called.")
    remedy = _("Ask the operator to set one on the Prices page.")


class NoChannelError(DomainError):
    code = "no_channel_available"
    http_status = 503
    error_type = "service_unavailable_error"
    is_retryable = True
    message = _("No channel for the model “%(model)s” is available to the group “%(group)s” right now.")
    remedy = _("This is not about your quota. Try again later or tell the operator.")


class UpstreamUnavailableError(DomainError):
    """The provider refused us for reasons that are ours: no money left, a bad key, a missing model."""

    code = "upstream_unavailable"
    http_status = 503
    error_type = "service_unavailable_error"
    message = _("The provider behind “%(model)s” refuses this service's account (%(reason)s).")
    remedy = _("This is not about your quota: it was not charged. Tell the operator, or use another model.")


class UpstreamRateLimitedError(DomainError):
    code = "upstream_rate_limited"
    http_status = 429
    error_type = "rate_limit_error"
    is_retryable = True
    message = _("The provider behind “%(model)s” is limiting this service's rate.")
    remedy = _("This is not about your quota. Wait %(seconds)s s and try again.")


class UpstreamFailedError(DomainError):
    code = "upstream_error"
    http_status = 502
    error_type = "upstream_error"
    message = _("The provider behind “%(model)s” failed (%(reason)s).")
    remedy = _("This is not about your quota: it was not charged. Try again.")


class UpstreamTimeoutError(DomainError):
    code = "timeout"
    http_status = 504
    error_type = "upstream_error"
    message = _("The provider behind “%(model)s” did not answer in time.")
    remedy = _("This is not about your quota: it was not charged.")


class UpstreamRejectedError(DomainError):
    """The provider says that the request itself is wrong; its words are passed on."""

    code = "upstream_rejected"
    message = _("%(reason)s")

    def __init__(self, *, status: int, upstream_code: str | None, param: str | None, reason: str) -> None:
        super().__init__(reason=reason, param=param)
        self.http_status = status  # type: ignore[misc]
        if upstream_code:
            self.code = upstream_code  # type: ignore[misc]


class TooLargeForAccountError(DomainError):
    """The request does not fit what is left on our account, or its limit; callers do not learn how much."""

    code = "request_too_large"
    http_status = 413
    message = _("This request is too large for what the provider behind “%(model)s” grants this service.")
    remedy = _(
        "This is not about your quota: it was not charged. Shorten the prompt, ask for a shorter answer, or"
        " use another model."
    )


class StoreUnavailableError(DomainError):
    code = "internal_error"
    http_status = 503
    error_type = "server_error"
    is_retryable = True
    message = _("This service cannot reach its database right now, so it cannot account for the call.")
    remedy = _("Nothing was charged. Try again in a moment.")


class CommitLostError(StoreUnavailableError):
    """The database went away while it was asked: it may have done it or not."""


class JournalUnavailableError(DomainError):
    code = "internal_error"
    http_status = 503
    error_type = "server_error"
    is_retryable = True
    message = _("This service has no room on its disk, so it cannot account for the call.")
    remedy = _("Nothing was charged. Tell the operator; it goes on by itself once there is room.")


class TooManyCallsError(DomainError):
    code = "too_many_calls"
    http_status = 503
    error_type = "service_unavailable_error"
    is_retryable = True
    message = _("This server has as many calls in flight as it can keep account of.")
    remedy = _("Nothing was charged. Try again in a moment.")


class InternalError(DomainError):
    code = "internal_error"
    http_status = 500
    error_type = "server_error"
    message = _("Something went wrong on our side; the operator can find it by the request id.")
    remedy = _("Nothing was charged.")


def language_of(error: DomainError, accept_language: str) -> str:
    """The language the caller asks for, else the one they chose in the console, else the site's."""
    for code, _quality in parse_accept_lang_header(accept_language):
        try:
            return get_supported_language_variant(code)
        except LookupError:
            continue
    return error.language or settings.LANGUAGE_CODE


def envelope(error: DomainError, *, request_id: str, accept_language: str) -> dict[str, Any]:
    """The error as OpenAI's clients read it; a quota's refusal also says its numbers apart."""
    with translation.override(language_of(error, accept_language)):
        body: dict[str, Any] = {
            "message": f"{error.full_text} (request id: {request_id})",
            "type": error.error_type,
            "param": error.context.get("param"),
            "code": error.code,
        }
        if isinstance(error, QuotaExhaustedError):
            body["details"] = {
                "quota": error.quota,
                "left": error.left,
                "held": error.held,
                "needed": error.needed,
                "remedy": error.remedy_text,
            }
    return {"error": body}


def headers_of(error: DomainError) -> list[tuple[bytes, bytes]]:
    """Tell client libraries whether to try again, and when."""
    if not error.is_retryable:
        return [(b"x-should-retry", b"false")]
    return [(b"retry-after", str(error.context.get("seconds", 1)).encode())]


def dump(body: Any) -> bytes:
    """JSON as UTF-8; half a surrogate pair, which a text may have, becomes the escape that it came as."""
    return _ENCODER.encode(body).encode(errors="backslashreplace")
