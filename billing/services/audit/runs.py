"""Running an audit: reading piece by piece, comparing on one view, keeping the result."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog
from django.utils import timezone

from billing.models import AuditKind, AuditRun
from billing.services.audit import checkpoints, invariants, sums
from billing.services.audit.checkpoints import Base
from billing.services.audit.checks import Check, Findings
from billing.services.audit.session import Position, Session
from billing.services.audit.sums import SETTLED, TAIL, Ids

logger = structlog.get_logger(__name__)

WAIT_SECONDS = 30
"""For transactions that were writing when the audit began."""

_CALLS_AT_ONCE = {"postgresql": 500_000, "sqlite": 50_000}
_ENTRIES_AT_ONCE = {"postgresql": 100_000, "sqlite": 10_000}

OnProgress = Callable[[int, int], None]
"""Told how much of how much was done."""


def _ignore(_done: int, _total: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proof:
    """What one audit read and found."""

    checks: list[Check]
    calls: int
    entries: int
    position: Position | None
    """Up to where the rows were settled; None where that could not be told."""
    settled_calls: int
    settled_entries: int

    @property
    def is_clean(self) -> bool:
        return not any(check.broken for check in self.checks)


def audit_ledger() -> list[Check]:
    """Count everything again, while the database goes on working, and keep nothing of it."""
    with Session() as session:
        return _prove(session, Base(), _ignore).checks


def run_audit(*, is_full: bool, started_at: datetime, on_progress: OnProgress = _ignore) -> AuditRun:
    """Prove the ledger, and keep the result for the dashboard and what was read for the next audit.

    A checkpoint is kept of a clean audit only, so that drift is found again by each one until it is gone.

    :param is_full: read everything, whatever was proved before; else what is new since the newest
        checkpoint, and everything where there is none to be trusted
    """
    with Session() as session:
        base = Base() if is_full else Base.newest(session)
        proof = _prove(session, base, on_progress)
        if proof.is_clean:
            _keep(session, base, proof)
    return AuditRun.objects.create(
        kind=AuditKind.INCREMENTAL if base.lineage else AuditKind.FULL,
        started_at=started_at,
        finished_at=timezone.now(),
        is_clean=proof.is_clean,
        checks=[asdict(check) for check in proof.checks],
        calls_read=proof.calls,
        calls_covered=base.calls + proof.calls,
        entries_read=proof.entries,
        entries_covered=base.entries + proof.entries,
    )


def last_result() -> AuditRun | None:
    """The newest recorded audit, if there is one."""
    return AuditRun.objects.order_by("-pk").first()


def _keep(session: Session, base: Base, proof: _Proof) -> None:
    if proof.position is None:
        logger.warning("billing.audit_without_checkpoint", reason="a transaction that writes does not end")
        return
    if base.lineage and not (proof.settled_calls or proof.settled_entries):
        return
    checkpoints.keep(
        session,
        base=base,
        position=proof.position,
        calls=proof.settled_calls,
        entries=proof.settled_entries,
        at=timezone.now(),
    )
    checkpoints.forget_superseded(session, at=timezone.now())


def _prove(session: Session, base: Base, on_progress: OnProgress) -> _Proof:
    start = base.position
    settled = session.settled(wait_seconds=WAIT_SECONDS)
    end = Position(*map(max, start, settled)) if settled else start
    findings = Findings()
    sums.prepare(session, base.ids)
    calls, entries = Ids(start.call_id, end.call_id), Ids(start.entry_id, end.entry_id)
    progress = _Progress(calls.count + entries.count, on_progress)
    for piece in progress.over(calls.pieces(_CALLS_AT_ONCE[session.vendor])):
        sums.add_calls(session, piece, part=SETTLED)
    for piece in progress.over(entries.pieces(_ENTRIES_AT_ONCE[session.vendor])):
        _read_entries(session, piece, SETTLED, findings)
    sums.analyze(session)
    with session.view():
        sums.add_calls(session, Ids(end.call_id), part=TAIL)
        _read_entries(session, Ids(end.entry_id), TAIL, findings)
        invariants.check_late_calls(session, start, findings)
        for check in invariants.PRESENT:
            check(session, base.ids, findings)
            progress.compared()
    return _proof(session, settled and end, findings)


def _read_entries(session: Session, entries: Ids, part: int, findings: Findings) -> None:
    findings.broken("I2", session.column(sums.broken_chains(entries)))
    sums.add_entries(session, entries, part=part)
    invariants.check_usage_entries(session, entries, findings)


def _proof(session: Session, position: Position | None, findings: Findings) -> _Proof:
    calls, entries = sums.counts(session, "1 = 1")
    settled_calls, settled_entries = sums.counts(session, f"part = {SETTLED}")
    findings.checked("I2", entries)
    findings.checked("I4", calls)
    return _Proof(
        checks=findings.checks(),
        calls=calls,
        entries=entries,
        position=position,
        settled_calls=settled_calls,
        settled_entries=settled_entries,
    )


class _Progress:
    """Ids read count one each, and the comparisons at the end together a tenth of all."""

    def __init__(self, ids: int, report: OnProgress) -> None:
        self._comparison = max(1, ids // 9 // len(invariants.PRESENT))
        self._total = ids + self._comparison * len(invariants.PRESENT)
        self._done = 0
        self._report = report

    def over(self, pieces: Iterable[Ids]) -> Iterable[Ids]:
        for piece in pieces:
            yield piece
            self._add(piece.count)

    def compared(self) -> None:
        self._add(self._comparison)

    def _add(self, amount: int) -> None:
        self._done += amount
        self._report(self._done, self._total)
