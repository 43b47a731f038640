"""The channel to the sandbox, for trying everything without a provider's account.

It is made on the first start of an installation with its own database; deleted, it stays away.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from billing.models import Channel
from billing.services import channels, prices
from oneapi_admin.lib.env import generated_secret
from oneapi_admin.supervisor import sockets

HOST = "127.0.0.1"
MODELS = (
    "sandbox-echo",
    "sandbox-slow",
    "sandbox-no-usage",
    "sandbox-drop",
    "sandbox-rate-limit",
    "sandbox-insufficient-quota",
    "sandbox-spend-limit",
    "sandbox-invalid-key",
    "sandbox-exhausted-capacity",
    "sandbox-server-error",
)
INPUT_PRICE, CACHED_PRICE, OUTPUT_PRICE = Decimal(1), Decimal("0.25"), Decimal(2)
MAX_OUTPUT_TOKENS = 4096


def key() -> str:
    """The key that the sandbox asks for."""
    return generated_secret(settings.DATA_DIR / "sandbox_key")


def port() -> int:
    """The sandbox's port: ``SANDBOX_PORT``, else a free one, chosen once and remembered."""
    if settings.SANDBOX_PORT:
        return int(settings.SANDBOX_PORT)
    if not _port_file().exists():
        _remember(_free_port())
    return int(_port_file().read_text(encoding="utf-8"))


def create() -> None:
    """Make the channel and the prices of its models, unless the channel is there."""
    if Channel.objects.filter(is_sandbox=True).exists():
        return
    for model in MODELS:
        prices.set_model_price(
            actor=None,
            model=model,
            input_price=INPUT_PRICE,
            cached_input_price=CACHED_PRICE,
            output_price=OUTPUT_PRICE,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            at=timezone.now(),
        )
    details = channels.ChannelSettings(name="Sandbox", base_url=_base_url(port()), models=list(MODELS))
    channels.create_channel(actor=None, settings=details, key=key(), is_sandbox=True)


def claim_port() -> int:
    """A port that the sandbox can have now, with the channel pointing at it.

    Call it only while the sandbox is not running. The channel follows the port when another program took the
    old one, and when ``SANDBOX_PORT`` was changed; one that an operator pointed elsewhere is left alone.

    :raises sockets.PortUnavailableError: if ``SANDBOX_PORT`` is set and taken
    """
    wanted = port()
    if settings.SANDBOX_PORT:
        sockets.bind(HOST, wanted).close()
    elif not sockets.is_free(HOST, wanted):
        wanted = _free_port()
    previous = int(_port_file().read_text(encoding="utf-8")) if _port_file().exists() else wanted
    if previous != wanted:
        _move(previous, wanted)
    _remember(wanted)
    return wanted


def _move(previous: int, wanted: int) -> None:
    for channel in Channel.objects.filter(is_sandbox=True, base_url=_base_url(previous)):
        details = replace(channels.ChannelSettings.of(channel), base_url=_base_url(wanted))
        channels.update_channel(actor=None, channel=channel, settings=details, key=key())


def _base_url(number: int) -> str:
    return f"http://{HOST}:{number}"


def _free_port() -> int:
    with sockets.bind(HOST, 0) as probe:
        return int(probe.getsockname()[1])


def _remember(number: int) -> None:
    _port_file().write_text(f"{number}\n", encoding="utf-8")


def _port_file() -> Path:
    path: Path = settings.DATA_DIR / "sandbox_port"
    return path
