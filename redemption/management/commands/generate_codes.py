"""Makes codes from a shell."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import from_usd
from redemption.models import CodeBatch
from redemption.services import making, sealed
from redemption.services.batches import BatchTerms, create_batch, fail_batch


class Command(BaseCommand):
    help = (
        "Make codes and write them to standard output, one a line and this once."
        " What they could be read from again is deleted as soon as they are written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", required=True, metavar="NAME", help="where the codes go, or what for")
        parser.add_argument("--count", required=True, type=int, metavar="N")
        amount = parser.add_mutually_exclusive_group(required=True)
        amount.add_argument("--quota", type=int, metavar="Q", help="quota units for each code")
        amount.add_argument("--usd", type=_dollars, dest="quota", metavar="A", help="the same in US dollars")
        parser.add_argument("--tag", default="")
        parser.add_argument("--note", default="")
        parser.add_argument("--valid-from", type=_moment, metavar="TIME", help="such as 2026-03-02T12:00:00Z")
        parser.add_argument("--valid-until", type=_moment, metavar="TIME")
        parser.add_argument("--uses-per-code", type=int, default=1, metavar="N")
        parser.add_argument("--uses-per-user", type=int, default=1, metavar="N", help="of one code")
        parser.add_argument(
            "--once-per-user",
            action="store_true",
            dest="is_once_per_user",
            help="a person may redeem one code of the batch only",
        )
        parser.add_argument("--group", default="", help="only people of this group may redeem the codes")

    def handle(self, *_args: Any, **options: Any) -> None:
        now = timezone.now()
        values = {name: options[name] for name in BatchTerms.__slots__ if name != "name"}
        try:
            batch = create_batch(actor=None, terms=BatchTerms(name=options["batch"], **values), at=now)
        except DomainError as error:
            raise CommandError(error.full_text) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        try:
            making.make_codes(batch=batch, at=now)
        except BaseException:  # nobody would see the codes that a worker made of it later
            fail_batch(batch_id=batch.pk, reason="generate_codes")
            raise
        self._write_out(batch, now)
        self.stderr.write(f"Batch {batch.pk}, “{batch.name}”: {batch.count} codes made.")

    def _write_out(self, batch: CodeBatch, at: datetime) -> None:
        """Write the codes; only what was written is deleted."""
        try:
            for code in sealed.open_codes(actor=None, batch=batch, how="command", at=at):
                self.stdout.write(code)
            self.stdout.flush()
        except OSError as error:
            raise CommandError(
                f"The codes were made but not all of them written: {error}."
                f" Export batch {batch.pk} before they are deleted."
            ) from error
        sealed.forget_codes(actor=None, batch=batch)


def _dollars(text: str) -> int:
    """
    :returns: quota units
    """
    try:
        return from_usd(Decimal(text))
    except (InvalidOperation, ValueError) as error:
        raise ArgumentTypeError(f"{text} is no amount of dollars: a multiple of 0.000002 is") from error


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text} is no time that there is") from error
    if moment is None:
        raise ArgumentTypeError(f"{text} is no time: 2026-03-02T12:00:00Z is")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
