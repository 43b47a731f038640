"""What an incremental audit sees, what only a full one sees, and what becomes of checkpoints."""

import hmac
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from billing import tasks
from billing.models import AuditCheckpoint, AuditRun, CheckpointDay, UsageRecord
from billing.services import calls
from billing.services.audit import checkpoints, run_audit, runs
from billing.services.audit.session import Session
from billing.services.calls import settle
from billing.triggers import drop_triggers
from oneapi_admin.lib.pipeline import Pipeline
from redemption.services.redeeming import redeem
from tests.factories import (
    NOON,
    admit_request,
    make_admin,
    make_channel,
    make_codes,
    make_token,
    make_user,
    settlement,
)
from tests.support.processes import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch) -> None:
    """As many boundaries between pieces as there can be."""
    monkeypatch.setattr(runs, "_CALLS_AT_ONCE", {"postgresql": 2, "sqlite": 2})
    monkeypatch.setattr(runs, "_ENTRIES_AT_ONCE", {"postgresql": 1, "sqlite": 1})


class Desk:
    """Somebody with a token, a channel, and business of every kind."""

    def __init__(self) -> None:
        self.admin = make_admin()
        self.user = make_user(balance=10_000)
        self.made = make_token(self.user)
        self.channel = make_channel()

    def do_business(self) -> None:
        calls.admit(requests=[admit_request(self.made, estimate=70)], at=NOON)
        for day in (0, 1):
            at = NOON + timedelta(days=day)
            some = [settlement(self.made, self.channel, quota=quota, created_at=at) for quota in (120, 5)]
            failed = settlement(self.made, self.channel, quota=0, status="failed", created_at=at)
            settle(settlements=[*some, failed], at=at)
        redeem(code=make_codes(self.admin, quota=77, count=2)[0], user=self.user, at=NOON)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.do_business()
    return desk


def audit(*, is_full: bool = False) -> AuditRun:
    return run_audit(is_full=is_full, started_at=timezone.now())


def broken(run: AuditRun) -> set[str]:
    return {check["code"] for check in run.checks if check["broken"]}


def damage(*statements: str) -> None:
    drop_triggers(connection)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def newest(table: str, condition: str = "1 = 1") -> str:
    return f"(SELECT MAX(id) FROM (SELECT * FROM {table}) t WHERE {condition})"


def oldest(table: str, condition: str = "1 = 1") -> str:
    return newest(table, condition).replace("MAX", "MIN")


IS_USAGE, IS_USED, IS_CHARGED, IS_FREE = "kind = 'usage'", "status = 'used'", "quota > 0", "quota = 0"
CALL, ENTRY, CODE = "billing_usagerecord", "billing_ledgerentry", "redemption_redemptioncode"
CHECKPOINT = "billing_auditcheckpoint"
ATTACHED_TO_OLD_ENTRY = f"""
    UPDATE {CALL} SET quota = 1, ledger_entry_id = {oldest(ENTRY, IS_USAGE)} WHERE id = {newest(CALL, IS_FREE)}"""


def test_an_incremental_audit_reads_what_is_new_and_covers_everything(desk: Desk) -> None:
    first = audit()
    desk.do_business()

    second, third = audit(), audit()

    assert [(run.kind, run.is_clean) for run in (first, second, third)] == [
        ("full", True),
        ("incremental", True),
        ("incremental", True),
    ]
    assert [(run.calls_read, run.calls_covered) for run in (first, second, third)] == [
        (6, 6),
        (6, 12),
        (0, 12),
    ]
    assert [(run.entries_read, run.entries_covered) for run in (first, second, third)] == [
        (4, 4),
        (3, 7),
        (0, 7),
    ]
    assert AuditCheckpoint.objects.count() == 2


@pytest.mark.parametrize(
    ("statement", "code", "name"),
    [
        ("UPDATE billing_quotaaccount SET balance = balance + 1", "I1", "account"),
        (
            f"UPDATE {ENTRY} SET balance_after = balance_after + 1 WHERE id = {newest(ENTRY, IS_USAGE)}",
            "I2",
            "entry",
        ),
        (f"DELETE FROM {ENTRY} WHERE id = {newest(ENTRY, IS_USAGE)}", "I2", "entry"),
        ("DELETE FROM billing_hold", "I3", "account"),
        ("UPDATE billing_hold SET account_id = 0", "I3", "hold"),
        (f"UPDATE {CALL} SET quota = quota + 1 WHERE id = {newest(CALL, IS_CHARGED)}", "I4", "entry"),
        (f"UPDATE {CALL} SET account_id = 0 WHERE id = {newest(CALL, IS_CHARGED)}", "I4", "entry"),
        (f"UPDATE {ENTRY} SET kind = 'grant' WHERE id = {newest(ENTRY, IS_USAGE)}", "I4", "entry"),
        (f"DELETE FROM {CALL} WHERE ledger_entry_id = {newest(ENTRY, IS_USAGE)}", "I4", "entry"),
        (f"UPDATE {CALL} SET ledger_entry_id = 0 WHERE id = {newest(CALL, IS_FREE)}", "I4", "call"),
        (ATTACHED_TO_OLD_ENTRY, "I4", "entry"),
        (f"UPDATE {CALL} SET ledger_entry_id = 99999999 WHERE id = {newest(CALL)}", "I4", "call"),
        (f"UPDATE {CODE} SET used_count = 2 WHERE id = {newest(CODE, IS_USED)}", "I5", "code"),
        (f"UPDATE {ENTRY} SET reference = 'code:0' WHERE kind = 'redemption'", "I5", "redemption"),
        (f"UPDATE {ENTRY} SET kind = 'redemption' WHERE id = {oldest(ENTRY)}", "I5", "entry"),
        ("UPDATE redemption_batchday SET redeemed_count = redeemed_count + 1", "I5", "batch"),
        (f"UPDATE {CALL} SET prompt_tokens = 99 WHERE id = {newest(CALL)}", "I6", "day"),
        (f"UPDATE {CALL} SET duration_ms = 99 WHERE id = {newest(CALL)}", "I6", "hour"),
        (f"DELETE FROM {CALL} WHERE id = {newest(CALL)}", "I7", "account"),
        (f"UPDATE {CALL} SET account_id = 0 WHERE id = {newest(CALL)}", "I7", "account"),
        (f"UPDATE {CALL} SET account_id = 0 WHERE id = {newest(CALL)}", "I7", "call"),
    ],
)
def test_damage_to_what_is_new_is_found_by_each_audit_until_it_is_gone(
    desk: Desk, statement: str, code: str, name: str
) -> None:
    assert audit().is_clean
    desk.do_business()
    damage(statement)

    found = [audit(), audit()]

    for run in found:
        assert run.kind == "incremental"
        [check] = [check for check in run.checks if check["code"] == code]
        assert check["broken"]
        assert any(offender.startswith(name) for offender in check["broken_ids"])
    assert code in broken(audit(is_full=True))


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (f"UPDATE {ENTRY} SET amount = amount + 1 WHERE id = {oldest(ENTRY)}", "I1"),
        (f"UPDATE {ENTRY} SET balance_after = balance_after + 1 WHERE id = {oldest(ENTRY)}", "I2"),
        (f"UPDATE {CALL} SET quota = quota + 1 WHERE id = {oldest(CALL)}", "I4"),
        (f"UPDATE {CALL} SET prompt_tokens = 99 WHERE id = {oldest(CALL)}", "I6"),
        (f"UPDATE {CALL} SET account_id = 0 WHERE id = {oldest(CALL)}", "I7"),
    ],
)
def test_damage_to_old_calls_and_entries_is_found_by_a_full_audit_only(
    desk: Desk, statement: str, code: str
) -> None:
    assert audit().is_clean
    damage(statement)

    unseen, seen = audit(), audit(is_full=True)

    assert (unseen.kind, unseen.is_clean) == ("incremental", True)  # its documented limit
    assert code in broken(seen)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE billing_quotaaccount SET balance = balance - 1", "I1"),
        ("UPDATE billing_tokenquota SET held = held + 1", "I3"),
        (f"UPDATE {CODE} SET status = 'disabled' WHERE status = 'used'", "I5"),
        (f"UPDATE {ENTRY} SET kind = 'grant' WHERE kind = 'redemption'", "I5"),
        ("UPDATE billing_usagedaily SET quota = quota + 1 WHERE day = '2026-03-02'", "I6"),
        ("DELETE FROM billing_usagehourly", "I6"),
        ("UPDATE billing_channeltotals SET upstream_cost = upstream_cost + 1", "I7"),
        ("UPDATE billing_tokenquota SET used_quota = used_quota + 1", "I7"),
    ],
)
def test_damage_to_what_may_change_is_found_however_old_it_is(desk: Desk, statement: str, code: str) -> None:
    assert audit().is_clean
    damage(statement)

    run = audit()

    assert (run.kind, code in broken(run)) == ("incremental", True)


@pytest.mark.parametrize("is_seal_checked", [True, False])
def test_a_checkpoint_that_was_changed_hides_nothing(desk: Desk, monkeypatch, is_seal_checked: bool) -> None:
    if not is_seal_checked:  # the control: the changed checkpoint agrees with the changed rollup
        monkeypatch.setattr(hmac, "compare_digest", lambda _a, _b: True)
    assert audit().is_clean
    sums = CheckpointDay.objects.earliest("id")
    damage(
        f"UPDATE billing_checkpointday SET prompt_tokens = prompt_tokens + 1 WHERE id = {sums.pk}",
        f"UPDATE billing_usagedaily SET prompt_tokens = prompt_tokens + 1 WHERE day = '{sums.day}'",
    )

    run = audit()

    assert (run.kind, broken(run)) == (("full", {"I6"}) if is_seal_checked else ("incremental", set()))


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {CHECKPOINT} SET last_call_id = last_call_id - 1",
        f"UPDATE {CHECKPOINT} SET calls = calls + 1",
        "DELETE FROM billing_checkpointaccount",
        f"UPDATE {CHECKPOINT} SET parent_id = NULL WHERE id = {newest(CHECKPOINT)}",
        f"UPDATE {CHECKPOINT} SET parent_id = {oldest(CHECKPOINT)} WHERE id = {newest(CHECKPOINT)}",
    ],
)
def test_a_changed_checkpoint_is_replaced(desk: Desk, statement: str) -> None:
    for _ in range(3):
        desk.do_business()
        audit()
    damage(statement)

    after, then = audit(), audit()

    assert [(run.kind, run.is_clean) for run in (after, then)] == [("full", True), ("incremental", True)]


def test_a_checkpoint_outlives_the_change_of_the_secret_key(desk: Desk, settings) -> None:
    audit()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, which is as long as it has to be"

    assert audit().kind == "incremental"


@pytest.mark.parametrize(("options", "unsealed"), [([], 0), (["--full"], 1)])
def test_an_audit_that_was_killed_leaves_the_checkpoint_before_it(
    desk: Desk, options: list[str], unsealed: int
) -> None:
    audit()
    desk.do_business()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.dying_audit", *options],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGKILL)
    assert AuditCheckpoint.objects.filter(seal="").count() == unsealed

    run = audit()

    assert (run.kind, run.is_clean, run.calls_read, run.calls_covered) == ("incremental", True, 6, 12)


def test_superseded_checkpoints_are_forgotten_a_day_later(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(checkpoints, "_ROWS_AT_ONCE", 1)
    for is_full in (False, False, True, False):
        desk.do_business()
        audit(is_full=is_full)
    AuditCheckpoint.objects.create(  # of one that was killed
        last_call_id=1, last_entry_id=1, calls=1, entries=1, created_at=timezone.now()
    )
    current = set(AuditCheckpoint.objects.exclude(seal="").order_by("-pk").values_list("pk", flat=True)[:2])
    # They are in use as long as nothing newer stands for them, however old they are.
    long_ago = timezone.now() - timedelta(days=7)
    AuditCheckpoint.objects.filter(pk__lt=min(current)).update(created_at=long_ago)
    with Session() as session:
        checkpoints.forget_superseded(session, at=timezone.now() + timedelta(hours=23))
        kept = AuditCheckpoint.objects.count()

        checkpoints.forget_superseded(session, at=timezone.now() + timedelta(hours=25))

    assert kept == 5
    assert set(AuditCheckpoint.objects.values_list("pk", flat=True)) == current
    assert set(CheckpointDay.objects.values_list("checkpoint_id", flat=True)) == current
    assert audit().kind == "incremental"


def test_calls_go_on_and_are_counted_once_while_an_audit_runs(desk: Desk) -> None:
    def settle_another(_done: int, _total: int) -> None:
        settle(settlements=[settlement(desk.made, desk.channel, quota=7)], at=NOON)

    during = run_audit(is_full=True, started_at=timezone.now(), on_progress=settle_another)
    settled_meanwhile = UsageRecord.objects.count() - during.calls_covered
    after = audit()

    assert (during.is_clean, after.is_clean) == (True, True)
    assert settled_meanwhile > 0  # those that came while it had its view
    assert after.calls_read >= settled_meanwhile
    assert after.calls_covered == UsageRecord.objects.count()


@pytest.mark.parametrize("is_full", [False, True])
def test_two_audits_at_once_count_nothing_twice(desk: Desk, is_full: bool) -> None:
    audit()
    desk.do_business()
    meanwhile: list[AuditRun] = []

    def run_another(_done: int, _total: int) -> None:
        if not meanwhile:
            meanwhile.append(audit())

    outer = run_audit(is_full=is_full, started_at=timezone.now(), on_progress=run_another)
    desk.do_business()
    after = audit()

    assert [run.is_clean for run in (outer, *meanwhile, after)] == [True] * 3
    assert [run.calls_covered for run in (outer, *meanwhile, after)] == [12, 12, 18]
    assert (after.kind, after.calls_read) == ("incremental", 6)


def test_progress_only_rises_and_ends_where_all_is_done(desk: Desk) -> None:
    steps: list[tuple[int, int]] = []

    run_audit(is_full=True, started_at=timezone.now(), on_progress=lambda *step: steps.append(step))

    done, totals = zip(*steps, strict=True)
    assert len(done) == 3 + 4 + 5  # pieces of calls and of entries, comparisons
    assert list(done) == sorted(set(done))
    assert {done[-1]} == set(totals)


@contextmanager
def call_before_its_commit(desk: Desk, monkeypatch) -> Iterator[threading.Event]:
    """A call that has its ids, in a transaction that is not over before the event."""
    written, may_end = threading.Event(), threading.Event()
    durable_batch = calls.durable_batch

    @contextmanager
    def slow_batch() -> Iterator[object]:
        with durable_batch() as batch:
            yield batch
            if isinstance(batch, Pipeline):
                batch.flush()
            written.set()
            assert may_end.wait(30)

    def settle_slowly() -> None:
        try:
            settle(settlements=[settlement(desk.made, desk.channel, quota=40)], at=NOON)
        finally:
            connections.close_all()

    thread = threading.Thread(target=settle_slowly)
    with monkeypatch.context() as patch:
        patch.setattr(calls, "durable_batch", slow_batch)
        thread.start()
        assert written.wait(30)
    try:
        yield may_end
    finally:
        may_end.set()
        thread.join()


def test_an_audit_does_not_wait_for_a_writers_locks(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0)
    with call_before_its_commit(desk, monkeypatch), Session() as session:
        proof = runs._prove(session, checkpoints.Base(), lambda _done, _total: None)
    after = audit()

    assert (proof.is_clean, proof.calls) == (True, 6)
    assert (after.is_clean, after.calls_covered) == (True, 7)


ONE_WRITER = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer: ids are committed in their order"
)


@ONE_WRITER
@pytest.mark.parametrize("are_writers_seen", [True, False])
def test_calls_that_are_committed_late_are_not_lost(desk: Desk, monkeypatch, are_writers_seen: bool) -> None:
    other = Desk()
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0)
    if not are_writers_seen:  # the control: a checkpoint above the ids of the open transaction
        monkeypatch.setattr(Session, "_writers", lambda _session: set())
    assert audit().is_clean
    with call_before_its_commit(desk, monkeypatch):
        other.do_business()
        during = audit()

    after = audit()

    assert (during.is_clean, during.calls_covered) == (True, 12)
    assert AuditCheckpoint.objects.count() == 2
    assert after.kind == "incremental"
    if are_writers_seen:
        assert (after.is_clean, after.calls_read, after.calls_covered) == (True, 7, 13)
    else:
        assert {"I1", "I6", "I7"} <= broken(after)


@ONE_WRITER
def test_calls_that_begin_after_it_looked_who_is_writing_are_left_to_the_next_audit(
    desk: Desk, monkeypatch
) -> None:
    other = Desk()
    look = Session._writers
    with ExitStack() as open_calls:

        def look_too_early(session: Session) -> set[str]:
            monkeypatch.setattr(Session, "_writers", look)
            seen = look(session)
            open_calls.enter_context(call_before_its_commit(desk, monkeypatch))
            other.do_business()  # with higher ids than the call before its commit
            return seen

        monkeypatch.setattr(Session, "_writers", look_too_early)
        during = audit()
    after = audit()

    assert (during.is_clean, during.calls_covered) == (True, 12)
    assert (after.kind, after.is_clean) == ("incremental", True)
    assert (after.calls_read, after.calls_covered) == (7, 13)


@ONE_WRITER
def test_a_first_audit_beside_a_writer_that_does_not_end_keeps_no_checkpoint(desk: Desk, monkeypatch) -> None:
    monkeypatch.setattr(runs, "WAIT_SECONDS", 0)
    with call_before_its_commit(desk, monkeypatch):
        run = audit()

    assert (run.kind, run.is_clean, run.calls_read) == ("full", True, 6)
    assert not AuditCheckpoint.objects.exists()


@ONE_WRITER
def test_an_audit_waits_for_the_transactions_that_were_writing_when_it_began(desk: Desk, monkeypatch) -> None:
    polls = []
    with call_before_its_commit(desk, monkeypatch) as may_end:
        writers = Session._writers

        def poll(session: Session) -> set[str]:
            polls.append(writers(session))
            if len(polls) == 3:
                may_end.set()
            return set(polls[-1])

        monkeypatch.setattr(Session, "_writers", poll)
        during = audit()

    assert all(polls[:3])
    assert (during.is_clean, during.calls_covered) == (True, 7)
    assert AuditCheckpoint.objects.get().calls >= 6


def test_the_job_is_incremental_every_night_and_full_every_week(desk: Desk) -> None:
    schedule = [
        entry for entry in settings.CELERY_BEAT_SCHEDULE.values() if entry["task"] == "billing.audit_ledger"
    ]
    tasks.audit_ledger()

    for entry in schedule:
        tasks.audit_ledger(**entry.get("kwargs", {}))

    assert list(AuditRun.objects.order_by("pk").values_list("kind", flat=True)) == [
        "full",
        "incremental",
        "full",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_command_says_what_it_read_and_draws_a_bar_on_a_terminal_only(
    desk: Desk, monkeypatch, capsys
) -> None:
    call_command("audit_ledger")
    plain = capsys.readouterr()
    terminal = _Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        call_command("audit_ledger")
    shown = capsys.readouterr().out
    call_command("audit_ledger", "--full")

    assert plain.err == ""
    assert "Full audit: read 6 of 6 calls and 4 of 4 entries" in plain.out
    assert "100%" in terminal.getvalue()
    assert "Incremental audit: read 0 of 6 calls and 0 of 4 entries" in shown
    assert "Full audit: read 6 of 6" in capsys.readouterr().out
