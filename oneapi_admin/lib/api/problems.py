"""Errors of the management API: ``application/problem+json`` (RFC 9457), each with a stable code."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as ModelValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import Field

from oneapi_admin.lib.errors import DomainError

logger = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_CODES = {
    400: "bad_request",
    401: "authentication_required",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


class FieldProblem(Schema):
    """What is wrong with one field."""

    field: str = Field(description="Where it stands, such as `body.quota` or `query.limit`.")
    message: str


class Problem(Schema):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="Always `about:blank`: the code says which problem it is.")
    title: str = Field(description="The HTTP status in words.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What went wrong, in the caller's language.")
    code: str = Field(description="Stable; for programs to decide by.", examples=["invalid_request"])
    remedy: str = Field(description="What the caller can do, in the caller's language; may be empty.")
    request_id: str = Field(description="Names the request in the operator's logs.")
    errors: list[FieldProblem] = Field(description="Invalid fields; empty for other problems.")


class MalformedBodyError(DomainError):
    code = "malformed_body"
    http_status = 400

    def __init__(self, reason: str) -> None:
        self.message = "%(reason)s"  # type: ignore[misc]  # said by the parser, not by us
        super().__init__(reason=reason)


def problem_response(
    request: HttpRequest,
    *,
    status: int,
    detail: str,
    code: str = "",
    remedy: str = "",
    errors: Sequence[FieldProblem] = (),
) -> HttpResponse:
    """Say why a request was refused."""
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code or _CODES.get(status, "error"),
        remedy=remedy,
        request_id=request.META.get("HTTP_X_REQUEST_ID", ""),
        errors=list(errors),
    )
    response = HttpResponse(problem.model_dump_json(), status=status, content_type=MEDIA_TYPE)
    if status == 401:
        is_bad = problem.code != _CODES[401]
        response.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if is_bad else "Bearer"
    return response


def add_handlers(api: NinjaAPI) -> None:
    """Have an API answer whatever its operations raise with a problem."""
    api.add_exception_handler(DomainError, domain_problem)
    api.add_exception_handler(ModelValidationError, _invalid_model)
    api.add_exception_handler(ValidationError, _invalid_request)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(Http404, _not_found)
    api.add_exception_handler(SuspiciousOperation, _suspicious)
    api.add_exception_handler(MultiPartParserError, _suspicious)
    api.add_exception_handler(RequestDataTooBig, _too_large)
    api.add_exception_handler(Exception, _unforeseen)


def domain_problem(request: HttpRequest, exc: Any) -> HttpResponse:
    """
    :param exc: a ``DomainError``
    """
    response = problem_response(
        request, status=exc.http_status, detail=str(exc), code=exc.code, remedy=exc.remedy_text
    )
    if exc.retry_after_s is not None:
        response.headers["Retry-After"] = str(exc.retry_after_s)
    return response


def _invalid_request(request: HttpRequest, exc: Any) -> HttpResponse:
    errors = [
        FieldProblem(field=_place(error.get("loc", ())), message=str(error.get("msg", "")))
        for error in exc.errors
    ]
    return _invalid(request, errors)


def _invalid_model(request: HttpRequest, exc: Any) -> HttpResponse:
    if hasattr(exc, "error_dict"):
        errors = [
            FieldProblem(field="body" if name == NON_FIELD_ERRORS else f"body.{name}", message=message)
            for name, messages in exc.message_dict.items()
            for message in messages
        ]
    else:
        errors = [FieldProblem(field="body", message=message) for message in exc.messages]
    return _invalid(request, errors)


def _invalid(request: HttpRequest, errors: Sequence[FieldProblem]) -> HttpResponse:
    detail = _("The request is not valid: see its “errors”.")
    return problem_response(request, status=422, detail=detail, code="invalid_request", errors=errors)


def _place(location: Iterable[object]) -> str:
    """``("body", "data", "quota")`` → ``body.quota``, without what we call the parameter."""
    parts = [str(part) for part in location]
    if len(parts) > 1 and parts[0] in ("body", "query", "path") and parts[1] in ("data", "page_query"):
        del parts[1]
    return ".".join(parts)


def _http_error(request: HttpRequest, exc: Any) -> HttpResponse:
    if isinstance(exc, AuthenticationError):
        return problem_response(
            request,
            status=401,
            detail=_("Who is asking? Send “Authorization: Bearer” with an access token."),
            remedy=_("Access tokens are made on the Settings page."),
        )
    if isinstance(exc.__cause__, DomainError):  # what the parser said
        return domain_problem(request, exc.__cause__)
    return problem_response(request, status=exc.status_code, detail=str(exc))


def _not_found(request: HttpRequest, _exc: Any) -> HttpResponse:
    return problem_response(request, status=404, detail=_("There is nothing here that you may see."))


def _suspicious(request: HttpRequest, _exc: Any) -> HttpResponse:
    return problem_response(request, status=400, detail=_("The request was refused."))


def _too_large(request: HttpRequest, _exc: Any) -> HttpResponse:
    return problem_response(request, status=413, detail=_("The request is too large."))


def _unforeseen(request: HttpRequest, exc: Any) -> HttpResponse:
    logger.error("api.failed", path=request.path, exc_info=exc)
    return problem_response(
        request,
        status=500,
        detail=_("Something went wrong on our side; it has been logged."),
        remedy=_("Try again; if it stays, tell the operator the request id."),
    )
