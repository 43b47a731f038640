"""The audit log: what is written, and that whoever touches it afterwards is found out."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts import audit_chain, tasks
from accounts.models import AuditAction, AuditEvent, AuditHead, SubjectType, User
from accounts.services import audit, audit_check, site, users
from accounts.services.audit_check import Flaw, Verdict, verify
from accounts.triggers import drop_triggers
from oneapi_admin.lib.origin import coming_from
from tests.factories import make_admin, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def five_events() -> list[AuditEvent]:
    """What is in the log after its first five events."""
    for number in range(5):
        make_user(username=f"person{number}")
    return list(AuditEvent.objects.order_by("pk"))


def damage(*statements: str) -> None:
    """What somebody does who has the database and nothing else."""
    drop_triggers(connection)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def found(verdict: Verdict) -> tuple[Flaw | None, int | None]:
    return verdict.flaw, verdict.event_id


# --- What is written --------------------------------------------------------------------------


def test_an_event_says_who_did_what_to_whom_from_where() -> None:
    _root, admin, person = make_root(), make_admin(), make_user(group="default")
    names = ("display_name", "email", "role", "group", "status")
    fields = {**{name: getattr(person, name) for name in names}, "group": "vip"}

    with coming_from(request_id="request-1", address="2001:DB8::1"):
        users.update_user(actor=admin, user=person, **fields)

    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.changes) == ("user.updated", {"group": {"old": "default", "new": "vip"}})
    assert (event.actor, event.actor_name, event.actor_role) == (admin, admin.username, "admin")
    assert (event.subject_type, event.subject_id, event.subject_name) == ("user", person.pk, person.username)
    assert (event.user, event.user_role) == (person, "user")
    assert (event.address, event.request_id) == ("2001:db8::1", "request-1")


def test_a_command_has_no_actor_and_no_address() -> None:
    make_user(username="first")

    event = AuditEvent.objects.get()
    assert (event.actor, event.actor_name, event.actor_role) == (None, "", "")
    assert (event.address, event.request_id) == ("", "")


def test_a_request_is_written_down_with_its_id_and_its_senders_address() -> None:
    client = Client(REMOTE_ADDR="192.0.2.7", headers={"X-Forwarded-For": "203.0.113.9"})
    client.force_login(make_root())

    answer = client.post("/ops/users/sign-up/", {"is_signup_open": "on"})
    make_user()

    event, later = AuditEvent.objects.order_by("pk")[1:]
    assert (event.address, event.request_id) == ("192.0.2.7", answer.headers["X-Oneapi-Request-Id"])
    assert (later.address, later.request_id) == ("", "")


def test_events_are_numbered_without_a_gap_also_after_one_that_was_taken_back() -> None:
    def make_and_fail() -> None:
        with transaction.atomic():
            make_user(username="never")
            raise OSError("later step")

    make_user()
    with pytest.raises(OSError, match="later step"):
        make_and_fail()
    make_user()

    assert list(AuditEvent.objects.order_by("pk").values_list("pk", flat=True)) == [1, 2]
    assert not AuditEvent.objects.filter(subject_name="never").exists()
    assert verify().flaw is None


def test_an_event_outside_a_transaction_is_refused() -> None:
    user = make_user()

    with pytest.raises(transaction.TransactionManagementError, match="transaction"):
        audit.record(action=AuditAction.USER_PASSWORD_SET, actor=None, subject=user)


def test_what_changes_nothing_is_not_written_down() -> None:
    root = make_root()
    before = AuditEvent.objects.count()

    site.set_signup_open(actor=root, is_open=False)

    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    "name", ["password", "key", "key_hash", "previous_key_hash", "encrypted_key", "secret", "digest"]
)
def test_a_secret_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        audit.differences({}, {name: "x"})


def test_every_action_belongs_to_a_kind_of_subject() -> None:
    assert {action.subject_type for action in AuditAction} == set(SubjectType)


# --- What cannot be undone --------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement", ["UPDATE accounts_auditevent SET subject_name = 'x'", "DELETE FROM accounts_auditevent"]
)
def test_the_database_refuses_to_change_or_delete_events(
    five_events: list[AuditEvent], statement: str
) -> None:
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"):
        cursor.execute(statement)

    assert list(AuditEvent.objects.order_by("pk")) == five_events


def test_postgresql_refuses_to_empty_the_log(five_events: list[AuditEvent]) -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"):
        cursor.execute("TRUNCATE accounts_auditevent")


# --- What is found out ------------------------------------------------------------------------


def test_an_untouched_log_is_proved_to_its_end(five_events: list[AuditEvent]) -> None:
    assert verify() == Verdict(checked=5, last_hash=five_events[-1].hash)


def test_an_empty_log_is_in_order() -> None:
    assert verify() == Verdict(checked=0, last_hash="")


def test_a_long_log_is_read_in_portions(
    five_events: list[AuditEvent], monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(audit_check, "_PORTION", 2)

    with django_assert_max_num_queries(8) as queries:
        assert verify().checked == 5

    assert sum("LIMIT 2" in query["sql"] for query in queries) == 4


@pytest.mark.parametrize(
    "assignment",
    [
        "action = 'user.deleted'",
        "actor_id = 1",
        "actor_name = 'somebody'",
        "actor_role = 'root'",
        "subject_type = 'token'",
        "subject_id = 77",
        "subject_name = 'somebody'",
        "user_id = NULL",
        "user_role = 'root'",
        "changes = '{}'",
        "address = '192.0.2.1'",
        "request_id = 'x'",
        "created_at = '2026-03-02 12:00:00'",
        "previous_hash = ''",
        "hash = 'x'",
    ],
)
def test_a_changed_event_is_named(five_events: list[AuditEvent], assignment: str) -> None:
    damage(f"UPDATE accounts_auditevent SET {assignment} WHERE id = 3")

    assert found(verify()) == (Flaw.CHANGED, 3)
    assert verify().checked == 2


@pytest.mark.parametrize(
    ("statement", "flaw", "event_id"),
    [
        ("DELETE FROM accounts_auditevent WHERE id = 1", Flaw.MISSING, 1),
        ("DELETE FROM accounts_auditevent WHERE id IN (2, 4)", Flaw.MISSING, 2),
        ("DELETE FROM accounts_auditevent WHERE id = 5", Flaw.MISSING, 5),
        ("DELETE FROM accounts_auditevent", Flaw.MISSING, 1),
        ("UPDATE accounts_auditevent SET id = 9 WHERE id = 2", Flaw.MISSING, 2),
        ("UPDATE accounts_auditevent SET id = 0 WHERE id = 2", Flaw.CHANGED, 0),
        ("DELETE FROM accounts_audithead", Flaw.NOT_THE_END, 5),
        ("UPDATE accounts_audithead SET event_id = 7", Flaw.NOT_THE_END, 5),
    ],
)
def test_a_removed_event_is_named(
    five_events: list[AuditEvent], statement: str, flaw: Flaw, event_id: int
) -> None:
    damage(statement)

    assert found(verify()) == (flaw, event_id)


def test_two_events_that_changed_places_are_named(five_events: list[AuditEvent]) -> None:
    move = "UPDATE accounts_auditevent SET id = {} WHERE id = {}"
    damage(move.format(99, 2), move.format(2, 3), move.format(3, 99))

    assert found(verify()) == (Flaw.CHANGED, 2)


def test_the_last_events_cannot_be_cut_off_by_whoever_does_not_know_the_key(
    five_events: list[AuditEvent],
) -> None:
    third = five_events[2]
    damage(
        "DELETE FROM accounts_auditevent WHERE id > 3",
        f"UPDATE accounts_audithead SET event_id = 3, event_hash = '{third.hash}'",
    )

    assert found(verify()) == (Flaw.NOT_THE_END, 3)


def test_an_event_that_was_put_in_is_named(five_events: list[AuditEvent]) -> None:
    AuditEvent.objects.create(**{**_fields(five_events[4]), "id": 6})

    assert found(verify()) == (Flaw.CHANGED, 6)


def test_an_event_of_another_copy_of_the_log_does_not_fit(five_events: list[AuditEvent]) -> None:
    other = AuditEvent(**{**_fields(five_events[2]), "previous_hash": five_events[0].hash})
    other.hash = audit_chain.event_hash(other)
    damage("DELETE FROM accounts_auditevent WHERE id = 3")
    other.save(force_insert=True)

    assert found(verify()) == (Flaw.UNCHAINED, 3)


def test_the_log_stays_proved_when_the_key_is_replaced_and_the_old_one_kept(
    five_events: list[AuditEvent], settings: Any
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, which is long enough to be taken"
    make_user()

    assert (verify().flaw, verify().checked) == (None, 6)

    settings.SECRET_KEY_FALLBACKS = []
    assert found(verify()) == (Flaw.CHANGED, 1)


def test_what_is_written_while_the_log_is_read_is_read_too(
    five_events: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_genuine: Callable[[AuditEvent], bool] = audit_chain.is_genuine

    def write_meanwhile(event: AuditEvent) -> bool:
        if event.pk == 5:
            make_user()
        return is_genuine(event)

    monkeypatch.setattr(audit_chain, "is_genuine", write_meanwhile)

    assert (verify().flaw, verify().checked) == (None, 7)


def test_the_command_says_that_all_is_well_or_exits_with_the_event(
    five_events: list[AuditEvent], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_audit_log")
    damage("UPDATE accounts_auditevent SET actor_name = 'x' WHERE id = 4")

    with pytest.raises(CommandError, match="event 4 was changed"):
        call_command("verify_audit_log")

    shown = capsys.readouterr().out
    assert "Nobody touched the audit log." in shown
    assert five_events[-1].hash in shown


def test_the_nightly_job_logs_the_last_hash_and_a_flaw_as_an_error(five_events: list[AuditEvent]) -> None:
    with structlog.testing.capture_logs() as lines:
        tasks.verify_audit_log()
        damage("DELETE FROM accounts_auditevent WHERE id = 2")
        tasks.verify_audit_log()

    good, bad = lines
    assert (good["event"], good["log_level"]) == ("accounts.audit_log_verified", "info")
    assert (good["checked"], good["last_hash"]) == (5, five_events[-1].hash)
    assert (bad["event"], bad["log_level"]) == ("accounts.audit_log_broken", "error")
    assert (bad["audit_event"], bad["flaw"]) == (2, "missing")


def test_what_was_found_is_kept_by_job_and_command(five_events: list[AuditEvent]) -> None:
    assert audit_check.last_result() is None

    tasks.verify_audit_log()

    kept = audit_check.last_result()
    assert (kept.is_intact, kept.checked, kept.last_hash) == (True, 5, five_events[-1].hash)

    damage("UPDATE accounts_auditevent SET actor_name = 'x' WHERE id = 4")
    with pytest.raises(CommandError):
        call_command("verify_audit_log")

    kept = audit_check.last_result()
    assert (kept.is_intact, kept.checked, kept.flaw, kept.event_id) == (False, 3, "changed", 4)


def test_the_job_is_on_the_schedule(settings: Any) -> None:
    assert "accounts.verify_audit_log" in {job["task"] for job in settings.CELERY_BEAT_SCHEDULE.values()}


def test_the_head_row_exists_once() -> None:
    with pytest.raises(DatabaseError):
        AuditHead.objects.create(pk=2, seal="x")


# --- Who sees what ----------------------------------------------------------------------------


def seen_by(viewer: User) -> set[str]:
    return {f"{event.action} {event.subject_name}" for event in AuditEvent.objects.visible_to(viewer)}


def test_an_administrator_sees_what_is_about_users_about_nobody_and_by_themselves() -> None:
    root, admin, other, person = make_root(), make_admin(), make_admin(), make_user()
    users.set_password(actor=root, user=person, password="another pass phrase")
    users.set_password(actor=root, user=other, password="another pass phrase")
    users.set_password(actor=root, user=root, password="another pass phrase")
    site.set_signup_open(actor=root, is_open=True)

    assert seen_by(admin) == {
        f"user.created {person.username}",
        f"user.password_set {person.username}",
        "site.updated settings",
    }
    assert len(seen_by(root)) == AuditEvent.objects.count()
    assert seen_by(person) == set()


def test_an_administrator_sees_their_own_acts_also_when_the_person_rose() -> None:
    root, admin, person = make_root(), make_admin(), make_user()
    users.set_password(actor=admin, user=person, password="another pass phrase")
    _change_role(root, person, "admin")

    assert seen_by(admin) == {f"user.password_set {person.username}"}

    _change_role(root, person, "root")
    assert seen_by(admin) == set()


def test_what_is_about_somebody_who_was_root_then_stays_hidden() -> None:
    root, admin, former = make_root(), make_admin(), make_root()
    users.set_password(actor=root, user=former, password="another pass phrase")
    _change_role(root, former, "user")
    former.refresh_from_db()
    users.set_password(actor=root, user=former, password="yet another pass phrase")

    [seen] = AuditEvent.objects.visible_to(admin)
    assert (seen.action, seen.user_role) == ("user.password_set", "user")


def _change_role(actor: User, person: User, role: str) -> None:
    fields = {name: getattr(person, name) for name in ("display_name", "email", "group", "status")}
    users.update_user(actor=actor, user=person, role=role, **fields)


def _fields(event: AuditEvent) -> dict[str, Any]:
    return {field.attname: getattr(event, field.attname) for field in event._meta.concrete_fields}
