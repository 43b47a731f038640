"""Messages to chat services, by apprise.

An address names a service and holds the secrets of a robot there; everybody may enter one. So services are
on a list: each of them is a fixed host of a messaging company, whatever the address says. And an address has
no query, in which apprise would take the path of a file to read, hosts of one's own, or leave to follow
redirects. What only sends to a host of one's own, operators do by webhooks.

Which host an address leads to was read in the sources of apprise 2.3.0; a test looks at every one of them.
"""

import logging
import re
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

from apprise import Apprise, AppriseAsset
from apprise.exception import AppriseException
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class Service(NamedTuple):
    """A service, and where apprise knows it."""

    title: str | Promise
    module: str
    plugin: str


SERVICES: Final = {
    "feishu": Service(gettext_lazy("Feishu"), "feishu", "NotifyFeishu"),
    "lark": Service("Lark", "lark", "NotifyLark"),
    "dingtalk": Service(gettext_lazy("DingTalk"), "dingtalk", "NotifyDingTalk"),
    "wecombot": Service(gettext_lazy("WeCom"), "wecombot", "NotifyWeComBot"),
    "slack": Service("Slack", "slack", "NotifySlack"),
    "discord": Service("Discord", "discord", "NotifyDiscord"),
    "tgram": Service("Telegram", "telegram", "NotifyTelegram"),
    "gchat": Service("Google Chat", "google_chat", "NotifyGoogleChat"),
    "pover": Service("Pushover", "pushover", "NotifyPushover"),
    "schan": Service(gettext_lazy("ServerChan"), "serverchan", "NotifyServerChan"),
    "pushplus": Service("PushPlus", "pushplus", "NotifyPushplus"),
}
"""By the scheme of their addresses. Nothing else of apprise is loaded, which knows a hundred more."""

SECONDS: Final = 20
"""An attempt takes no longer."""
_ADDRESS: Final = re.compile(rf"({'|'.join(SERVICES)})://[A-Za-z0-9_.:@#/+=-]{{1,500}}", re.ASCII)
_PART: Final = r"[A-Za-z0-9_-]{8,200}"
_PASTED: Final = (
    (rf"https://open\.feishu\.cn/open-apis/bot/v2/hook/({_PART})/?", r"feishu://\1"),
    (rf"https://open\.larksuite\.com/open-apis/bot/v2/hook/({_PART})/?", r"lark://\1"),
    (rf"https://oapi\.dingtalk\.com/robot/send\?access_token=({_PART})", r"dingtalk://\1"),
    (rf"https://qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=({_PART})", r"wecombot://\1"),
    (rf"https://hooks\.slack\.com/services/({_PART})/({_PART})/({_PART})/?", r"slack://\1/\2/\3"),
    (rf"https://discord(?:app)?\.com/api/webhooks/([0-9]{{8,30}})/({_PART})/?", r"discord://\1/\2"),
)
"""The addresses of robots as their services show them, and what apprise calls them."""
_TIME: Final = re.compile(r"^.*? - (?:WARNING|ERROR|CRITICAL) - ")

# It logs what it was given when that is wrong, which may be a secret. What it says comes with the result.
_logger = logging.getLogger("apprise")
_logger.propagate = False
_logger.addHandler(logging.NullHandler())


def canonical_address(text: str) -> str:
    """Read an address as it was typed or pasted.

    :raises ValidationError: if it is none, or of a service that is not on the list
    """
    address = text.strip()
    for pattern, replacement in _PASTED:
        if re.fullmatch(pattern, address, re.ASCII):
            address = re.sub(pattern, replacement, address)
    if not _ADDRESS.fullmatch(address) or not _sender(address):
        raise ValidationError(
            _(
                "Enter the address of a robot, https://open.feishu.cn/open-apis/bot/v2/hook/… or tgram://…"
                " for example."
            )
        )
    return address


def send(address: str, *, title: str, body: str) -> str:
    """Send a message; runs in a thread and leaves the database alone.

    :param address: as :func:`canonical_address` returned it
    :returns: why it was not taken, without a secret; empty when it was
    """
    sender = _sender(address) if _ADDRESS.fullmatch(address) else None
    if not sender:
        return _("The address is not valid any more: add it again.")
    result: Any = sender.notify(title=title, body=body)
    if result:
        return ""
    return _without_secrets(_reason(result), address) or _("The service did not take the message.")


def _sender(address: str) -> Apprise | None:
    service = SERVICES[address.partition(":")[0]]
    plugin = getattr(import_module(f"apprise.plugins.{service.module}"), service.plugin)
    parts = plugin.parse_url(address)
    sender = Apprise(asset=_asset())
    try:
        return sender if parts and sender.add(plugin(**parts, asset=_asset())) else None
    except (AppriseException, TypeError):  # a part is missing, or does not look as it should
        return None


@cache
def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="oneapi-admin",
        app_desc="oneapi-admin",
        async_mode=False,
        http_redirects=False,
        service_timeout=SECONDS,
        storage_mode="memory",
    )


def _reason(result: Any) -> str:
    """The last thing that apprise had to say."""
    logged = [str(entry) for one in result.results for attempt in one.attempts for entry in attempt.logs]
    return _TIME.sub("", logged[-1]) if logged else ""


def _without_secrets(text: str, address: str) -> str:
    """Errors of connections repeat the address in parts."""
    parts = re.split(r"[:/@#]+", address.partition("://")[2])
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= 4:
            text = text.replace(part, "…")
    return text[:255]
