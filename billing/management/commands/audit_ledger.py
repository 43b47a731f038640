"""``manage.py audit_ledger``: prove the invariants; exit 1 and name the offenders on drift."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing.models import AuditKind, AuditRun
from billing.services.audit import Check, OnProgress, run_audit


class Command(BaseCommand):
    help = (
        "Prove that every unit of quota is accounted for. Reads what is new since the last clean audit and"
        " compares it with the present state; exits with 1 and names the offenders when it does not add up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--full",
            action="store_true",
            help="read all calls and entries again, so that a change to old ones is found too",
        )

    def handle(self, *_args: Any, full: bool, **_options: Any) -> None:
        with self._progress() as on_progress:
            run = run_audit(is_full=full, started_at=timezone.now(), on_progress=on_progress)
        checks = [Check(**check) for check in run.checks]
        for check in checks:
            self._print(check)
        self._print_coverage(run)
        broken = [check.code for check in checks if check.broken]
        if broken:
            raise CommandError(f"The ledger does not add up: {', '.join(broken)}.")
        self.stdout.write(self.style.SUCCESS("The ledger adds up."))

    @contextmanager
    def _progress(self) -> Iterator[OnProgress]:
        """A bar on a terminal, nothing elsewhere."""
        if not sys.stderr.isatty():
            yield lambda _done, _total: None
            return
        with click.progressbar(length=1000, label="Reading", file=sys.stderr) as bar:
            yield lambda done, total: bar.update(1000 * done // total - bar.pos)

    def _print(self, check: Check) -> None:
        verdict = "ok" if not check.broken else f"BROKEN in {check.broken}: {', '.join(check.broken_ids)}"
        self.stdout.write(f"{check.code}  {check.title}: {check.checked:,} checked, {verdict}")

    def _print_coverage(self, run: AuditRun) -> None:
        self.stdout.write(
            f"{run.get_kind_display()} audit: read {run.calls_read:,} of {run.calls_covered:,} calls and"
            f" {run.entries_read:,} of {run.entries_covered:,} entries in {run.seconds:.1f} s."
        )
        if run.kind == AuditKind.INCREMENTAL:
            self.stdout.write("The others stand as a checkpoint proved them; --full reads them again.")
