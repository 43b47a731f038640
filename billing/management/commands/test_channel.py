from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.models import Channel
from billing.services.channel_test import test_channel


class Command(BaseCommand):
    help = "Send a channel one small request; exit status 0 when it answers, 1 when it does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("channel", type=int, metavar="ID")
        parser.add_argument("--model", help="one of the channel's models; the first by default")

    def handle(self, *_args: Any, **options: Any) -> None:
        channel = Channel.objects.filter(pk=options["channel"]).first()
        if channel is None:
            raise CommandError(f"There is no channel {options['channel']}.")
        result = test_channel(channel=channel, model=options["model"], at=timezone.now())
        if not result.is_ok:
            raise CommandError(f"{channel.name} ({result.model}) does not answer: {result.error}")
        self.stdout.write(f"{channel.name} ({result.model}) answered in {result.latency_ms} ms.")
