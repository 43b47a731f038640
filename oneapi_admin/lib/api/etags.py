"""Guarding against lost updates: ``ETag`` on what can be edited, ``If-Match`` on edits (RFC 9110 §13)."""

import hashlib
import json

from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.errors import DomainError


class LostUpdateError(DomainError):
    code = "lost_update"
    http_status = 412
    message = _("Somebody changed this since you read it.")
    remedy = _("Read it again, and send its new ETag as If-Match.")


def etag_of(*settings: object) -> str:
    """The tag of an object's settings: what edits change, without counters that change by themselves."""
    text = json.dumps(settings, default=str, sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def set_etag(response: HttpResponse, etag: str) -> None:
    response.headers["ETag"] = etag


def check_if_match(request: HttpRequest, etag: str) -> None:
    """Call it with the object locked.

    :raises LostUpdateError: if the request names another version than the present one
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    named = parse_etags(wanted)
    if "*" not in named and etag not in named:
        raise LostUpdateError


IF_MATCH = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": "The ETag that was read: refused with 412 when somebody has changed it since.",
        }
    ]
}
"""How an edit's parameter is documented."""
