"""Codes in clear. Each page here answers a POST, is audited, and is kept nowhere."""

from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel, refused
from redemption import code_format, downloads
from redemption.exports import FORMATS, MAX_PDF_CODES, qr_svg, redeem_link
from redemption.models import CodeBatch, RedemptionCode
from redemption.services import making, sealed
from redemption.services.secrets import code_digests


def download_choices(batch: CodeBatch) -> dict[str, Any]:
    """What the card offers: for the PDF ranges of codes, where they are too many for one file."""
    starts = range(0, batch.count, MAX_PDF_CODES)
    return {
        "is_short": batch.count <= making.AT_ONCE,
        "pdf_ranges": [(start, start + 1, min(start + MAX_PDF_CODES, batch.count)) for start in starts],
    }


@operator_required
@require_POST
@never_cache
def download(request: UserHttpRequest, pk: int) -> HttpResponseBase:
    batch = get_object_or_404(CodeBatch, pk=pk)
    name, start = request.POST.get("format", ""), request.POST.get("start", "")
    if name not in FORMATS:
        name = "csv"
    is_range = name == "pdf" and start.isascii() and start.isdigit() and len(start) <= 7
    try:
        return downloads.codes_file(
            request,
            actor=request.user,
            batch=batch,
            name=name,
            start=int(start) if is_range else 0,
            limit=MAX_PDF_CODES if is_range else None,
        )
    except DomainError as exc:
        return refused(request, exc, url=_page(batch))


@operator_required
@require_POST
@never_cache
def show(request: UserHttpRequest, pk: int) -> HttpResponse:
    """The codes on the screen, where they are few."""
    batch = get_object_or_404(CodeBatch, pk=pk, count__lte=making.AT_ONCE)
    try:
        codes = list(sealed.open_codes(actor=request.user, batch=batch, how="screen", at=timezone.now()))
    except DomainError as exc:
        return refused(request, exc, url=_page(batch))
    context = {"batch": batch, "codes": codes, "text": "\n".join(codes)}
    return trigger_client_event(panel(request, "ops/code_show.html", context), LIST_CHANGED, {})


@operator_required
@require_POST
@never_cache
def qr(request: UserHttpRequest, pk: int) -> HttpResponse:
    """The QR code of a code that is on the screen: the page where it is redeemed, filled in."""
    batch, code = get_object_or_404(CodeBatch, pk=pk), request.POST.get("code", "")
    try:
        digests = code_digests(code_format.read(code))
        get_object_or_404(RedemptionCode.objects.found_by(digests), batch=batch)
    except code_format.CodeMistypedError as exc:
        return refused(request, exc, url=_page(batch))
    link = redeem_link(downloads.redeem_page(request), code)
    image = f"data:image/svg+xml,{quote(qr_svg(link))}"
    context = {"batch": batch, "code": code, "link": link, "image": image}
    return panel(request, "ops/code_qr.html", context)


@operator_required
@require_POST
def forget(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch = get_object_or_404(CodeBatch, pk=pk)
    sealed.forget_codes(actor=request.user, batch=batch)
    message = _("The codes of “%(name)s” cannot be read here any more.") % {"name": batch.name}
    return changed(request, message=message, url=_page(batch))


def _page(batch: CodeBatch) -> str:
    return reverse("ops:code-detail", args=[batch.pk])
