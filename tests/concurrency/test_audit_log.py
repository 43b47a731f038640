"""Whoever writes to the audit log at the same time, it stays one chain; and a control shows what would be else."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, connection

from accounts.models import AuditEvent, AuditHead, User
from accounts.services import audit, users
from accounts.services.access_tokens import create_access_token
from accounts.services.audit_check import Verdict, verify
from billing.services import accounts
from tests.factories import NOON, make_root, make_user
from tests.support.processes import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, ACTS = 8, 12
SCRIPT = """
from accounts.models import User
from accounts.services.access_tokens import create_access_token
user = User.objects.get(pk={user})
for number in range({acts}):
    create_access_token(actor=user, user=user, name="a program", scopes=["read"])
"""


def at_once(act: Callable[[int], Any], count: int = WRITERS) -> list[Any]:
    """What becomes of an act that so many threads begin at the same moment."""
    start = Barrier(count)

    def one(number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def is_whole(verdict: Verdict) -> bool:
    return verdict.flaw is None and verdict.checked == AuditEvent.objects.count()


def make_key(user: User) -> bool:
    """An act that waits for nobody but the log."""
    try:
        create_access_token(actor=user, user=user, name="a program", scopes=["read"])
    except DatabaseError:
        return False
    return True


def test_threads_that_write_at_once_keep_the_chain_whole() -> None:
    people = [make_user() for _ in range(WRITERS)]

    done = at_once(lambda number: [make_key(people[number]) for _ in range(ACTS)])

    assert done == [[True] * ACTS] * WRITERS
    assert AuditEvent.objects.filter(action="access_token.created").count() == WRITERS * ACTS
    assert is_whole(verify())


def test_processes_that_write_at_once_keep_the_chain_whole() -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", SCRIPT.format(user=user.pk, acts=ACTS)],
            cwd=ROOT,
            env=environment(),
        )
        for user in (make_user(), make_user())
    ]

    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    assert AuditEvent.objects.filter(action="access_token.created").count() == 2 * ACTS
    assert is_whole(verify())


def test_control_without_the_lock_all_but_one_take_the_same_place(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [make_user() for _ in range(WRITERS)]
    seen_by_everybody = AuditHead.objects.get()
    monkeypatch.setattr(audit, "_locked_head", lambda: copy(seen_by_everybody))

    assert sum(at_once(lambda number: make_key(people[number]))) == 1


def test_people_who_are_changed_while_they_act_make_nobody_wait_for_ever() -> None:
    """An actor's row is locked by who changes them, and pointed to by what they write after their event."""
    roots = [make_root(), make_root()]

    def act(number: int) -> int:
        for turn in range(ACTS):
            if number % 2:
                _change(roots[0], roots[1], f"group{number}-{turn}")
            else:
                name = f"new{number}-{turn}"
                accounts.create_user(actor=roots[1], at=NOON, quota=5, username=name, password="x")
        return ACTS

    assert at_once(act) == [ACTS] * WRITERS
    assert is_whole(verify())


def _change(actor: User, person: User, group: str) -> None:
    users.update_user(
        actor=actor,
        user=person,
        display_name="",
        email=person.email,
        role="root",
        group=group,
        status="enabled",
    )
