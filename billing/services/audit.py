"""Proves that every unit of quota is accounted for, by counting everything again."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.models import AuditRun
from billing.services.audit_queries import DIALECT, FAILED, QUERIES

_MAX_IDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One invariant: how many rows it was checked on and which broke it."""

    code: str
    checked: int
    broken: int
    broken_ids: tuple[str, ...]
    """The first 20 offenders."""

    @property
    def title(self) -> str:
        return str(TITLES[self.code])


TITLES: dict[str, str | Promise] = {
    "I1": _("Every balance is the sum of its ledger entries"),
    "I2": _("Each entry's balance follows from the one before"),
    "I3": _("What accounts and tokens hold is the sum of their open holds"),
    "I4": _("Every usage entry is the sum of its calls"),
    "I5": _("A code is used if and only if exactly one entry names it"),
    "I6": _("The daily and hourly sums equal the calls"),
    "I7": _("The counters of accounts, tokens and channels equal the calls"),
}


def audit_ledger(*, on_check: Callable[[Check], None] = lambda _check: None) -> list[Check]:
    """Check all invariants on one consistent view of the database, while it goes on working.

    :param on_check: called after each invariant, for progress
    """
    checks = []
    with transaction.atomic(durable=True):
        _take_one_view()
        for check in _run_checks():
            on_check(check)
            checks.append(check)
    return checks


def record_audit(*, started_at: datetime, finished_at: datetime, checks: list[Check]) -> AuditRun:
    """Keep the result for the operators' dashboard."""
    return AuditRun.objects.create(
        started_at=started_at,
        finished_at=finished_at,
        is_clean=not any(check.broken for check in checks),
        checks=[asdict(check) for check in checks],
    )


def last_result() -> AuditRun | None:
    """The newest recorded audit, if there is one."""
    return AuditRun.objects.order_by("-pk").first()


def _take_one_view() -> None:
    """PostgreSQL: one snapshot for all queries. SQLite: the transaction is one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _run_checks() -> Iterator[Check]:
    names = {**DIALECT[connection.vendor], "failed": FAILED}
    with connection.cursor() as cursor:
        for code, (offenders, rows) in QUERIES.items():
            cursor.execute(rows)
            [checked] = cursor.fetchone()
            cursor.execute(offenders.format(**names) if code == "I6" else offenders)
            ids: list[str] = []
            broken = 0
            while batch := cursor.fetchmany(1000):
                broken += len(batch)
                ids.extend(row[0] for row in batch[: max(0, _MAX_IDS - len(ids))])
            yield Check(code=code, checked=checked, broken=broken, broken_ids=tuple(ids))
