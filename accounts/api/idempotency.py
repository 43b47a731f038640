"""``Idempotency-Key``: a request that is sent again gets the first answer again, and has no second effect."""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Schema
from ninja.operation import Operation
from ninja.utils import contribute_operation_callback

from accounts.api.auth import ApiRequest
from accounts.models import IdempotencyRecord
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.secrets import decrypt, encrypt

REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_PURPOSE = "accounts.idempotency"
_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,128}$", "minLength": 1, "maxLength": 128},
    "description": "Names this request: sent again with the same body, within 24 hours at least,"
    " it gets the first answer again and has no second effect. An order number will do.",
}


class IdempotencyKeyInvalidError(DomainError):
    code = "idempotency_key_invalid"
    http_status = 422
    message = _("An idempotency key has 1 to 128 visible ASCII characters.")


class IdempotencyKeyReusedError(DomainError):
    code = "idempotency_key_reused"
    http_status = 409
    message = _("This idempotency key already stands for another request.")
    remedy = _("Use a new key for a new request.")


Answer = Schema | tuple[int, Schema]


def idempotent(
    status: int, *, complete: Callable[[ApiRequest, str], str] | None = None
) -> Callable[[Callable[..., Answer]], Callable[..., HttpResponse]]:
    """Make an operation, which returns a schema, safe to be sent again.

    Its effect and its answer are stored in one transaction; what fails is not stored and has no effect.
    An answer may hold a secret that is shown once: it is stored encrypted.

    :param status: of its answer, where it does not return another with its schema
    :param complete: adds to the answer, the first time and later, what must not be stored with it
    """

    def decorate(view: Callable[..., Answer]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def run(request: ApiRequest, *args: Any, **values: Any) -> HttpResponse:
            key = request.headers.get("Idempotency-Key")
            if key is not None and not _KEY.fullmatch(key):
                raise IdempotencyKeyInvalidError
            with transaction.atomic(durable=True):
                record = _claim(request, key) if key is not None else None
                if record is not None and record.status:
                    stored = decrypt(_PURPOSE, record.encrypted_body)
                    body = complete(request, stored) if complete else stored
                    return _response(record.status, body, is_replay=True)
                answer = view(request, *args, **values)
                code, schema = answer if isinstance(answer, tuple) else (status, answer)
                body = schema.model_dump_json()
                if record is not None:
                    record.status, record.encrypted_body = code, encrypt(_PURPOSE, body)
                    record.save(update_fields=["status", "encrypted_body"])
            return _response(code, complete(request, body) if complete else body)

        contribute_operation_callback(run, _document)
        return run

    return decorate


def is_answered(request: ApiRequest) -> bool:
    """Whether the request has a key under which an answer is stored: it can have no effect."""
    key = request.headers.get("Idempotency-Key")
    answered = IdempotencyRecord.objects.filter(user=request.auth.user, key=key, status__gt=0)
    return key is not None and _KEY.fullmatch(key) is not None and answered.exists()


def ledger_key(request: ApiRequest) -> str | None:
    """The request's key as the ledger keeps it, for ever; None without one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    return f"api:{request.auth.user.pk}:{hashlib.sha256(key.encode()).hexdigest()}"


def _claim(request: ApiRequest, key: str) -> IdempotencyRecord:
    """The key's record: a new one, or, once whoever has it is through, the one with the first answer.

    :raises IdempotencyKeyReusedError: if the key stands for another request
    """
    content = b"\n".join([str(request.method).encode(), request.get_full_path().encode(), request.body])
    fingerprint = hashlib.sha256(content).hexdigest()
    record = IdempotencyRecord(
        user=request.auth.user, key=key, fingerprint=fingerprint, created_at=timezone.now()
    )
    try:
        with transaction.atomic():
            record.save(force_insert=True)  # waits for a transaction that has inserted the same key
    except IntegrityError:
        record = IdempotencyRecord.objects.get(user=request.auth.user, key=key)
        if record.fingerprint != fingerprint:
            raise IdempotencyKeyReusedError from None
    return record


def _response(status: int, body: str, *, is_replay: bool = False) -> HttpResponse:
    response = HttpResponse(body, status=status, content_type="application/json; charset=utf-8")
    if is_replay:
        response.headers[REPLAYED] = "true"
    return response


def _document(operation: Operation) -> None:
    extra = dict(operation.openapi_extra or {})
    extra["parameters"] = [*extra.get("parameters", []), _PARAMETER]
    operation.openapi_extra = extra
