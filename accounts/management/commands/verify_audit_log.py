"""``manage.py verify_audit_log``: prove the audit log; exit 1 and name the first event not in order."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.services.audit_check import Flaw, record_check, verify

_WORDS = {
    Flaw.MISSING: "is missing",
    Flaw.CHANGED: "was changed",
    Flaw.UNCHAINED: "does not follow from the one before it",
    Flaw.NOT_THE_END: "is the last one, and the log is said to end elsewhere",
}


class Command(BaseCommand):
    help = "Prove that nobody touched the audit log. Exits 1 and names the first event that is not in order."

    def handle(self, *_args: Any, **_options: Any) -> None:
        verdict = verify()
        record_check(verdict=verdict, finished_at=timezone.now())
        self.stdout.write(
            f"{verdict.checked:,} events are in order, the last one with the hash {verdict.last_hash}"
        )
        if verdict.flaw is not None:
            raise CommandError(f"Audit event {verdict.event_id} {_WORDS[verdict.flaw]}.")
        self.stdout.write(self.style.SUCCESS("Nobody touched the audit log."))
