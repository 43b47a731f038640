from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.models import Channel, ChannelStatus
from billing.queries.funds import Funds, funds_of
from billing.services.polling import ask_channels


class Command(BaseCommand):
    help = (
        "Ask the providers what their accounts hold and compare that with what was metered, now;"
        " exit status 1 when one of them could not be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "channels", type=int, nargs="*", metavar="ID", help="all that are not disabled by hand by default"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        keys: list[int] = options["channels"]
        found = {channel.pk: channel for channel in Channel.objects.filter(pk__in=keys)}
        if strangers := [str(key) for key in keys if key not in found]:
            raise CommandError(f"There is no channel {', '.join(strangers)}.")
        asked = ask_channels(keys or None)
        shown = list(found.values()) or Channel.objects.exclude(status=ChannelStatus.MANUALLY_DISABLED)
        rows = funds_of(sorted(shown, key=lambda channel: channel.pk), at=timezone.now())
        for funds in rows:
            self.stdout.write(_line(funds))
        failed = sum(bool(funds.poll and funds.poll.error) for funds in rows)
        self.stdout.write(f"{asked} asked, {failed} without an answer.")
        if failed:
            raise CommandError("Not every provider could be asked.")


def _line(funds: Funds) -> str:
    """A channel in a line: what is left, how it compares, what went wrong."""
    balance, interval = funds.balance or funds.spend, funds.reconciliation
    if balance is None:
        left = "balance unknown"
    elif balance.is_unlimited or balance.left is None:
        left = "no limit" if balance.is_unlimited else f"{balance.used} {balance.currency} used"
    else:
        left = f"{balance.left} {balance.currency} left"
    drift = (
        "" if interval is None or interval.drift is None else f", drift {interval.drift} {interval.currency}"
    )
    error = f": {funds.poll.error}" if funds.poll and funds.poll.error else ""
    return f"{funds.channel.pk} {funds.channel.name}: {funds.state}, {left}{drift}{error}"
