"""``manage.py audit_ledger``: prove the invariants; exit 1 and name the offenders on drift."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.services.audit import Check, audit_ledger, record_audit


class Command(BaseCommand):
    help = "Prove that every unit of quota is accounted for. Exits 1 on the first drift found."

    def handle(self, *_args: Any, **_options: Any) -> None:
        started_at = timezone.now()
        checks = audit_ledger(on_check=self._print)
        record_audit(started_at=started_at, finished_at=timezone.now(), checks=checks)
        broken = [check.code for check in checks if check.broken]
        if broken:
            raise CommandError(f"The ledger does not add up: {', '.join(broken)}.")
        self.stdout.write(self.style.SUCCESS("The ledger adds up."))

    def _print(self, check: Check) -> None:
        verdict = "ok" if not check.broken else f"BROKEN in {check.broken}: {', '.join(check.broken_ids)}"
        self.stdout.write(f"{check.code}  {check.title}: {check.checked:,} checked, {verdict}")
