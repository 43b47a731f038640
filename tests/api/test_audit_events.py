"""The audit log, read by programs."""

from collections.abc import Callable

import pytest

from accounts.models import AuditEvent, User
from accounts.services import users
from billing.services import channels
from tests.api.conftest import Program
from tests.factories import make_admin, make_channel, make_root, make_user

pytestmark = pytest.mark.django_db

PATH = "/audit-events"


def set_password(actor: User, person: User) -> None:
    users.set_password(actor=actor, user=person, password="another pass phrase")


def actions(program: Program, query: str = "") -> list[str]:
    answer = program.get(PATH + query)
    assert answer.status == 200, answer.body
    return [item["action"] for item in answer.body["items"]]


def test_an_act_through_the_api_is_told_with_its_request(program: Callable[..., Program], root: User) -> None:
    person = make_user(group="default")
    asking = program(root)

    changed = asking.patch(f"/users/{person.pk}", {"group": "vip"})
    item = asking.get(PATH).body["items"][0]

    event = AuditEvent.objects.latest("pk")
    assert item == {
        "id": event.pk,
        "action": "user.updated",
        "actor_id": root.pk,
        "actor_name": root.username,
        "actor_role": "root",
        "subject_type": "user",
        "subject_id": person.pk,
        "subject_name": person.username,
        "user_id": person.pk,
        "changes": {"group": {"old": "default", "new": "vip"}},
        "address": "127.0.0.1",
        "request_id": changed.headers["X-Oneapi-Request-Id"],
        "hash": event.hash,
        "created_at": event.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }


def test_access_tokens_that_operators_make_for_others_are_told(
    program: Callable[..., Program], root: User
) -> None:
    person, admin = make_user(), make_admin()
    asking = program(admin)

    made = asking.post(f"/users/{person.pk}/access-tokens", {"name": "theirs", "scopes": ["read"]}).body
    asking.post(f"/access-tokens/{made['id']}/rotate", {})
    asking.delete(f"/access-tokens/{made['id']}")

    assert actions(program(root), f"?actor={admin.pk}") == [
        "access_token.revoked",
        "access_token.rotated",
        "access_token.created",
    ]
    assert actions(program(root), f"?subject_type=access_token&subject_id={made['id']}&limit=1") == [
        "access_token.revoked"
    ]


def test_events_are_filtered_and_paged(program: Callable[..., Program], root: User) -> None:
    person = make_user()
    set_password(root, person)
    channels.delete_channel(actor=root, channel=make_channel())
    asking = program(root)

    assert actions(asking, f"?user={person.pk}") == ["user.password_set", "user.created"]
    assert actions(asking, "?action=channel.deleted") == ["channel.deleted"]
    assert actions(asking, "?subject_type=channel&order=id") == ["channel.created", "channel.deleted"]
    assert actions(asking, "?since=2099-01-01T00:00:00Z") == []
    first = asking.get(f"{PATH}?user={person.pk}&limit=1").body
    assert actions(asking, f"?user={person.pk}&cursor={first['next_cursor']}") == ["user.created"]


def test_an_administrator_sees_root_as_a_role_only(program: Callable[..., Program]) -> None:
    hidden, person = make_root(username="the-hidden-root"), make_user()
    set_password(hidden, person)
    set_password(hidden, hidden)
    asking = program(make_admin())

    answer = asking.get(f"{PATH}?action=user.password_set").body["items"]

    assert [item["user_id"] for item in answer] == [person.pk]
    assert [
        answer[0][name] for name in ("actor_id", "actor_name", "actor_role", "address", "request_id")
    ] == [
        None,
        "",
        "root",
        "",
        "",
    ]
    assert actions(asking, f"?actor={hidden.pk}") == []


@pytest.mark.parametrize(
    "query", ["?action=user.seen", "?subject_type=thing", "?actor=ann", "?since=yesterday"]
)
def test_a_filter_that_cannot_be_read_is_refused(
    query: str, program: Callable[..., Program], root: User
) -> None:
    assert program(root).get(PATH + query).status == 422


def test_a_token_needs_a_scope_for_it(program: Callable[..., Program], root: User) -> None:
    assert program(root, "users", "topup").get(PATH).code == "missing_scope"
    assert program(root, "read").get(PATH).status == 200
    assert program(make_user()).get(PATH).status == 403
