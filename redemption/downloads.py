"""Codes in clear as a file to download."""

from itertools import islice
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from redemption.exports import FORMATS, MAX_PDF_CODES, Sheet, TooManyForPdfError
from redemption.models import CodeBatch
from redemption.services import sealed

DOCUMENTED: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "The file.",
            "content": {
                form.content_type: {"schema": {"type": "string", "format": "binary"}}
                for form in FORMATS.values()
            },
        }
    }
}
"""What the API's document says of the answer."""


def redeem_page(request: HttpRequest) -> str:
    """The address of the page on which codes are redeemed, as people outside see it."""
    path = reverse("portal:redeem")
    return f"{settings.BASE_URL}{path}" if settings.BASE_URL else request.build_absolute_uri(path)


def codes_file(
    request: HttpRequest,
    *,
    actor: User,
    batch: CodeBatch,
    name: str,
    start: int = 0,
    limit: int | None = None,
) -> StreamingHttpResponse:
    """The codes of a batch, or some of them, as a file that is made while it is sent.

    :param name: of the format, one of ``FORMATS``
    :param start: how many codes to pass over
    :raises CodesNotReadyError: if they are being made
    :raises CodesGoneError: if they cannot be read any more
    :raises TooManyForPdfError: if they are more than a PDF file takes
    """
    form = FORMATS[name]
    count = max(batch.count - start, 0) if limit is None else min(max(batch.count - start, 0), limit)
    if name == "pdf" and count > MAX_PDF_CODES:
        raise TooManyForPdfError(most=MAX_PDF_CODES)
    sheet = Sheet(
        batch_id=batch.pk,
        name=batch.name,
        quota=batch.quota,
        valid_from=batch.valid_from,
        valid_until=batch.valid_until,
        uses_per_code=batch.uses_per_code,
        link=redeem_page(request),
    )
    codes = sealed.open_codes(actor=actor, batch=batch, how=name, at=timezone.now())
    codes = islice(codes, start, start + count)
    response = StreamingHttpResponse(form.write(sheet, codes), content_type=form.content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="codes-{batch.pk}.{form.extension}"'
    response.headers["Cache-Control"] = "no-store"
    return response
