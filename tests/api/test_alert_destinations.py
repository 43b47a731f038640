"""Destinations of alerts through the API: the operators', and everybody's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from accounts.models import AuditEvent, IdempotencyRecord, User
from billing.models import AlertDestination, AlertKind
from billing.services.alerts import chat, destinations
from tests.api.conftest import Answer, Program, queries_of
from tests.billing.alerts.making import own_rule
from tests.factories import NOON, make_admin, make_root, make_user
from tests.support.chat_services import ChatServices, chat_services

pytestmark = pytest.mark.django_db
SECRET = "0123-secret-abcd"
NEW = {"name": "the robot", "address": f"https://open.feishu.cn/open-apis/bot/v2/hook/{SECRET}"}
UNKNOWN = 10**15


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServices]:
    """Whatever is sent to a chat service arrives here."""
    with chat_services(tmp_path) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.certificate))
        yield running


def make_destination(owner: User | None = None) -> AlertDestination:
    return destinations.add_destination(actor=owner, owner=owner, at=NOON, **NEW)


def ids_of(answer: Answer) -> list[int]:
    assert answer.status == 200
    return [item["id"] for item in answer.body["items"]]


# --- Adding and removing ----------------------------------------------------------------------


def test_an_address_goes_in_and_never_comes_out(program) -> None:
    admin = make_admin()
    asks = program(admin)

    made = asks.post("/alert-destinations", NEW, Idempotency_Key="1")
    listed = asks.get("/alert-destinations")

    destination = AlertDestination.objects.get()
    assert made.status == 201
    assert made.body == {
        "id": destination.pk,
        "owner": "operators",
        "name": "the robot",
        "service": "feishu",
        "address_hint": "feishu://…abcd",
        "language": "",
        "last_status": None,
        "last_error": None,
        "tested_at": None,
        "test_error": "",
        "created_by_id": admin.pk,
        "created_at": made.body["created_at"],
    }
    assert listed.body["items"] == [made.body]
    assert destination.get_address() == f"feishu://{SECRET}"
    kept = [*AuditEvent.objects.values(), *IdempotencyRecord.objects.values()]
    assert AuditEvent.objects.filter(action="destination.created", actor=admin).count() == 1
    assert "0123-secret" not in str([made.body, listed.body, *kept])


def test_a_creation_sent_again_makes_no_second_destination(program) -> None:
    asks = program(make_user())

    first, again = (asks.post("/alert-destinations", NEW, Idempotency_Key="1") for _ in range(2))
    other = asks.post("/alert-destinations", {**NEW, "name": "other"}, Idempotency_Key="1")

    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert AlertDestination.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": None}, "name"),
        ({"address": ""}, "address"),
        ({"address": f"feishu://{SECRET}/" + "x" * 1000}, "address"),
        ({"address": "nonsense-with-secret"}, "address"),
        ({"address": "json://127.0.0.1/0123-secret"}, "address"),
        ({"address": "discord://123456789012345678/0123-secret?template=file:///etc/passwd"}, "address"),
        ({"address": "feishu://0123-secret\0"}, "address"),
        ({"address": 5}, "address"),
        ({"language": "tlh"}, "language"),
        ({"owner": "root"}, "owner"),
        ({"service": "feishu"}, "service"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_not_repeated(program, wrong, field) -> None:
    refused = program(make_admin()).post("/alert-destinations", {**NEW, **wrong})

    assert (refused.status, refused.code) == (422, "invalid_request")
    assert refused.wrong_fields == [f"body.{field}"]
    assert "secret" not in str(refused.body)
    assert not AlertDestination.objects.exists()


def test_the_twenty_first_destination_is_refused(program, monkeypatch) -> None:
    monkeypatch.setattr(destinations, "MOST", 1)
    asks = program(make_user())
    asks.post("/alert-destinations", NEW)

    refused = asks.post("/alert-destinations", NEW)

    assert (refused.status, refused.code) == (409, "too_many_destinations")
    assert program(make_user()).post("/alert-destinations", NEW).status == 201


def test_everybody_has_their_own_and_operators_also_the_common_ones(program) -> None:
    ann, admin = make_user(), make_admin()
    User.objects.filter(pk=ann.pk).update(language="zh-hans")

    annes = program(ann).post("/alert-destinations", NEW).body
    own = program(admin).post("/alert-destinations", {**NEW, "owner": "me", "language": "en"}).body
    common = program(admin).post("/alert-destinations", NEW).body

    assert [made["owner"] for made in (annes, own, common)] == ["me", "me", "operators"]
    assert [made["language"] for made in (annes, own, common)] == ["zh-hans", "en", ""]
    assert ids_of(program(ann).get("/alert-destinations")) == [annes["id"]]
    assert ids_of(program(admin).get("/alert-destinations?owner=me")) == [own["id"]]
    assert ids_of(program(make_root()).get("/alert-destinations")) == [common["id"]]


def test_a_destination_that_is_removed_is_named_by_no_rule_any_more(program) -> None:
    ann = make_user()
    destination = make_destination(ann)
    rule = own_rule(ann, AlertKind.BALANCE_BELOW, destinations=[destination])
    asks = program(ann)

    removed = asks.delete(f"/alert-destinations/{destination.pk}")

    assert removed.status == 204
    assert asks.get(f"/alert-rules/{rule.pk}").body["destination_ids"] == []
    assert asks.delete(f"/alert-destinations/{destination.pk}").status == 404
    assert AuditEvent.objects.filter(action="destination.deleted", actor=ann).count() == 1


# --- Testing ----------------------------------------------------------------------------------


def test_a_test_arrives(program, services: ChatServices) -> None:
    ann = make_user()
    destination = make_destination(ann)

    tested = program(ann).post(f"/alert-destinations/{destination.pk}/test", None)

    assert (tested.status, tested.body["test_error"]) == (200, "")
    assert tested.body["tested_at"] is not None
    assert [path for path, _body in services.received] == [f"/open-apis/bot/v2/hook/{SECRET}/"]
    assert program(ann).get("/alert-destinations").body["items"] == [tested.body]


def test_a_test_that_fails_says_why_without_the_secret_and_is_noted(program, services: ChatServices) -> None:
    services.status, services.answer = 404, f'{{"msg": "no hook {SECRET}"}}'
    destination = make_destination()
    asks = program(make_admin())

    failed = asks.post(f"/alert-destinations/{destination.pk}/test", None, Idempotency_Key="1")
    [noted] = asks.get("/alert-destinations").body["items"]

    assert (failed.status, failed.code) == (502, "destination_failed")
    assert noted["test_error"]
    assert noted["test_error"] in failed.body["detail"]
    assert noted["tested_at"] is not None
    assert "0123-secret" not in str([failed.body, noted])


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_service_is_waited_for(program, services, monkeypatch) -> None:
    path = f"/alert-destinations/{make_destination().pk}/test"
    asks, are_open, send = program(make_admin()), [], chat.send

    def watched(*args: Any, **options: Any) -> str:
        are_open.append(connection.in_atomic_block)
        return send(*args, **options)

    monkeypatch.setattr(chat, "send", watched)
    asks.post(path, None, Idempotency_Key="1")

    assert are_open == [False]


# --- Whose ------------------------------------------------------------------------------------


def operations(destination: int) -> list[tuple[str, str, Any]]:
    return [
        ("GET", "/alert-destinations", None),
        ("POST", "/alert-destinations", NEW),
        ("POST", f"/alert-destinations/{destination}/test", None),
        ("DELETE", f"/alert-destinations/{destination}", None),
    ]


def statuses(asks: Program, destination: int) -> list[int]:
    return [asks.ask(*operation).status for operation in operations(destination)]


def test_a_scope_that_reads_changes_nothing_and_another_does_nothing(program, services) -> None:
    ann = make_user()
    destination = make_destination(ann).pk

    assert statuses(Program(), destination) == [401] * 4
    assert statuses(program(ann, "tokens", "redeem"), destination) == [403] * 4
    assert statuses(program(ann, "read"), destination) == [200, 403, 403, 403]
    assert services.received == []
    assert statuses(program(ann), destination) == [200, 201, 200, 204]


def test_the_destinations_of_others_are_not_there(program, services: ChatServices) -> None:
    annes, common = make_destination(make_user()), make_destination()

    for somebody in (make_user(), make_admin(), make_root()):
        assert statuses(program(somebody), annes.pk) == [200, 201, 404, 404]
    assert statuses(program(make_user()), common.pk) == [200, 201, 404, 404]
    assert statuses(program(make_user()), UNKNOWN) == [200, 201, 404, 404]
    assert services.received == []
    assert AlertDestination.objects.filter(pk__in=(annes.pk, common.pk)).count() == 2
    assert statuses(program(make_admin()), common.pk) == [200, 201, 200, 204]


def test_destinations_are_paged_at_the_same_price_however_many(program) -> None:
    ann = make_user()
    asks = program(ann)
    made = [make_destination(ann).pk]
    short = queries_of(asks, "/alert-destinations")
    made += [make_destination(ann).pk for _ in range(2)]

    first = asks.get("/alert-destinations?limit=2").body
    rest = asks.get(f"/alert-destinations?limit=2&cursor={first['next_cursor']}")

    assert [item["id"] for item in first["items"]] == [made[2], made[1]]
    assert (ids_of(rest), rest.body["next_cursor"]) == ([made[0]], None)
    assert queries_of(asks, "/alert-destinations") == short
