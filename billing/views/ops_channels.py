from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.channels import ChannelForm, ChannelTestForm
from billing.models import Channel
from billing.queries import channels as queries
from billing.services import balances
from billing.services import channels as services
from billing.services.channel_test import list_models_of_form, test_channel
from billing.upstream.client import UpstreamCallError
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel


@operator_required
@require_safe
def channels(request: UserHttpRequest) -> HttpResponse:
    now = timezone.now()
    rows = queries.with_forecasts(queries.channel_rows(at=now), at=now)
    return TemplateResponse(request, "ops/channel_list.html", {"rows": rows, "now": now})


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def channel_create(request: UserHttpRequest) -> HttpResponse:
    form = ChannelForm(request.POST or None)
    if form.is_valid():
        try:
            channel = services.create_channel(
                actor=request.user,
                settings=form.settings(),
                key=form.cleaned_data["key"],
                balance_access=form.balance_access(),
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            message = _("%(name)s is connected. Test it to see whether it answers.") % {"name": channel.name}
            return changed(request, message=message, url=reverse("ops:channels"))
    return _panel(request, form, None)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def channel_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    form = ChannelForm(request.POST or None, channel=channel)
    if form.is_valid():
        try:
            services.update_channel(
                actor=request.user,
                channel=channel,
                settings=form.settings(),
                key=form.cleaned_data["key"],
                balance_access=form.balance_access(),
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            return changed(
                request,
                message=_("%(name)s was changed.") % {"name": channel.name},
                url=reverse("ops:channels"),
            )
    return _panel(request, form, get_object_or_404(Channel, pk=pk))


@operator_required
@require_POST
def channel_models(request: UserHttpRequest) -> HttpResponse:
    """The field of models for a form under way, filled with what the provider lists."""
    channel = _channel_of_form(request)
    form = ChannelForm(request.POST, channel=channel)
    form.keep_errors_of("base_url", "key")
    if not form.errors:
        try:
            names = list_models_of_form(
                channel=channel, base_url=form.cleaned_data["base_url"], key=form.cleaned_data["key"]
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        except UpstreamCallError as exc:
            form.add_error("models", str(exc))
        else:
            form = ChannelForm(initial={"models": "\n".join(names)})
    for name in ("base_url", "key"):
        if name in form.errors:
            form.add_error("models", " ".join(str(error) for error in form.errors[name]))
    status = 422 if form.errors else 200
    return TemplateResponse(
        request, "ops/channel_form.html#models", {"form": form, "channel": channel}, status=status
    )


@operator_required
@require_POST
def channel_balance_fields(request: UserHttpRequest) -> HttpResponse:
    """The fields of a form under way that belong to where the balance is read from."""
    channel = _channel_of_form(request)
    form = ChannelForm(initial=request.POST.dict(), channel=channel)
    return TemplateResponse(request, "ops/channel_form.html#balance", {"form": form, "channel": channel})


def _channel_of_form(request: UserHttpRequest) -> Channel | None:
    """The channel that a form under way is about; none while it is new."""
    pk = request.POST.get("channel", "")
    is_number = pk.isascii() and pk.isdecimal() and len(pk) <= 18
    return Channel.objects.filter(pk=int(pk)).first() if is_number else None


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def channel_test(request: UserHttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    form = ChannelTestForm(request.POST if request.method == "POST" else None, channel=channel)
    if not form.is_valid():
        status = 422 if form.errors else 200
        return panel(request, "ops/channel_test.html", {"form": form, "channel": channel}, status=status)
    result = test_channel(channel=channel, model=form.cleaned_data["model"] or None, at=timezone.now())
    words = {"name": channel.name, "model": result.model, "ms": result.latency_ms, "error": result.error}
    if result.is_ok:
        return _row_changed(request, pk, "success", _("%(name)s answered in %(ms)s ms (%(model)s).") % words)
    return _row_changed(request, pk, "error", _("%(name)s does not answer (%(model)s). %(error)s") % words)


@operator_required
@require_POST
def channel_refresh_balance(request: UserHttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    try:
        balances.refresh_balance(channel=channel, at=timezone.now())
    except DomainError as exc:
        text = _("The balance of %(name)s could not be read; what was known before stays. %(reason)s")
        return _row_changed(request, pk, "warning", text % {"name": channel.name, "reason": exc})
    return _row_changed(
        request, pk, "success", _("The balance of %(name)s is up to date.") % {"name": channel.name}
    )


@operator_required
@require_POST
def channel_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    is_enabled = request.POST.get("is_enabled") == "1"
    services.set_channel_status(actor=request.user, channel=channel, is_enabled=is_enabled)
    text = _("%(name)s serves calls again.") if is_enabled else _("%(name)s gets no more calls.")
    return _row_changed(request, pk, "success", text % {"name": channel.name})


@operator_required
@require_POST
def channel_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    services.delete_channel(actor=request.user, channel=channel)
    messages.success(request, _("%(name)s was deleted.") % {"name": channel.name})
    return redirect("ops:channels")


def _panel(request: UserHttpRequest, form: ChannelForm, channel: Channel | None) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "channel": channel}
    return panel(request, "ops/channel_form.html", context, status=422 if form.errors else 200)


def _row_changed(request: UserHttpRequest, pk: int, level: str, message: str) -> HttpResponse:
    if not request.htmx:
        messages.add_message(request, getattr(messages, level.upper()), message)
        return redirect("ops:channels")
    if urlsplit(request.htmx.current_url or "").path == reverse("ops:channels"):
        now = timezone.now()
        [row] = queries.with_forecasts(queries.channel_rows(at=now, pk=pk), at=now)
        response: HttpResponse = TemplateResponse(
            request, "ops/channel_list.html#row", {"row": row, "oob": True, "now": now}
        )
    else:
        response = HttpResponse(status=204)
    trigger_client_event(response, "slideover:close", {})
    return trigger_client_event(response, "toast", {"level": level, "message": message})
