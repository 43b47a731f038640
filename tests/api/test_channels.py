"""Upstream accounts, for programs."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.models import BalanceSnapshot, Channel, ConfigVersion
from billing.services import balances, channel_test
from tests import factories
from tests.api.conftest import Program
from tests.factories import NOON, make_admin, make_channel, make_root, make_user
from tests.sandbox.server import SandboxServer, start_sandbox

pytestmark = pytest.mark.django_db

KEY = "sk-upstream-secret-0001"
NEW = {"name": "one", "base_url": "https://api.example.com/v1", "key": KEY, "models": ["gpt-5"]}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as server:
        yield server


def channel_of(sandbox: SandboxServer, **fields: Any) -> Channel:
    models = ["sandbox-echo", "sandbox-invalid-key"]
    usual = {"base_url": sandbox.origin, "key": sandbox.api_key, "balance_source": "sandbox"}
    return make_channel(models=models, **{**usual, **fields})


def make_snapshot(channel: Channel, **fields: Any) -> BalanceSnapshot:
    return factories.make_snapshot(**{"channel": channel, "remaining": Decimal("1.5"), **fields})


def fields_of(answer) -> list[str]:
    return [error["field"] for error in answer.body["errors"]]


def queries_of(asks, path: str) -> int:
    asks.get("/me")  # notes by the minute that the access token was used
    with CaptureQueriesContext(connection) as context:
        answer = asks.get(path)
    assert answer.status == 200
    return len(context)


def test_a_channel_is_connected_with_its_settings(program) -> None:
    settings = {
        "models": ["gpt-5", "gpt-5", "o9"],
        "model_mapping": {"o9": "o9-2026"},
        "groups": ["default", "vip"],
        "priority": -5,
        "weight": 3,
        "cost_multiplier": "0.80",
    }

    made = program(make_admin(), "channels").post("/channels", {**NEW, **settings})

    channel = Channel.objects.get(pk=made.body["id"])
    assert made.status == 201
    assert {name: made.body[name] for name in settings} == {
        **settings,
        "models": ["gpt-5", "o9"],
        "cost_multiplier": "0.8",
    }
    assert (made.body["base_url"], made.body["status"]) == ("https://api.example.com", "enabled")
    assert (made.body["request_count"], made.body["balance"]) == (0, None)
    assert (channel.get_key(), channel.cost_multiplier) == (KEY, Decimal("0.8"))


def test_a_request_sent_again_connects_no_second_channel(program) -> None:
    asks = program(make_admin())

    first, again = (asks.post("/channels", NEW, Idempotency_Key="1") for _ in range(2))

    assert again.body == first.body
    assert Channel.objects.count() == 1


def test_a_key_is_never_given_back(program) -> None:
    asks = program(make_admin())

    made = asks.post("/channels", NEW)
    path = f"/channels/{made.body['id']}"
    answers = [made, asks.get("/channels"), asks.get(path), asks.patch(path, {"key": KEY})]

    assert all(KEY not in str(answer) for answer in answers)
    assert made.body["key_hint"] == "…0001"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": "nul\0"}, "body.name"),
        ({"name": "x" * 65}, "body.name"),
        ({"base_url": "ftp://example.com"}, "body.base_url"),
        ({"base_url": "https://"}, "body.base_url"),
        ({"base_url": "https://example.com:65536"}, "body.base_url"),
        ({"base_url": "https://example.com:0"}, "body.base_url"),
        ({"base_url": "https://[::1"}, "body.base_url"),
        ({"base_url": "https://user@example.com"}, "body.base_url"),
        ({"base_url": "https://example.com/?a=b"}, "body.base_url"),
        ({"base_url": "https://example.com/\0"}, "body.base_url"),
        ({"base_url": "https://example.com/\n"}, "body.base_url"),
        ({"base_url": "https://example.com/" + "x" * 255}, "body.base_url"),
        ({"key": ""}, "body.key"),
        ({"key": "sk secret"}, "body.key"),
        ({"key": "schlüssel"}, "body.key"),
        ({"models": []}, "body.models"),
        ({"models": ["a b"]}, "body.models.0"),
        ({"models": ["a,b"]}, "body.models.0"),
        ({"models": ["nul\0"]}, "body.models.0"),
        ({"models": ["half\ud800"]}, "body.models.0"),
        ({"models": ["x" * 129]}, "body.models.0"),
        ({"models": "gpt-5"}, "body.models"),
        ({"model_mapping": {"other": "gpt-5"}}, "body.model_mapping"),
        ({"groups": []}, "body.groups"),
        ({"groups": ["Big Spenders"]}, "body.groups.0"),
        ({"priority": 1001}, "body.priority"),
        ({"priority": "1"}, "body.priority"),
        ({"weight": -1}, "body.weight"),
        ({"weight": 10**30}, "body.weight"),
        ({"cost_multiplier": "-1"}, "body.cost_multiplier"),
        ({"cost_multiplier": "NaN"}, "body.cost_multiplier"),
        ({"cost_multiplier": "1e3"}, "body.cost_multiplier"),
        ({"cost_multiplier": "1000000"}, "body.cost_multiplier"),
        ({"cost_multiplier": "0.0000001"}, "body.cost_multiplier"),
        ({"cost_multiplier": 0.8}, "body.cost_multiplier"),
        ({"surprise": 1}, "body.surprise"),
    ],
)
def test_a_channel_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    present = make_channel()
    asks = program(make_admin())

    made = asks.post("/channels", {**NEW, **wrong})
    changed = asks.patch(f"/channels/{present.pk}", wrong)

    assert [(answer.status, fields_of(answer)) for answer in (made, changed)] == [(422, [field])] * 2
    assert Channel.objects.get().name == "upstream"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.openai.com",
        "http://one-api:3000",
        "http://127.0.0.1:9",
        "http://[::1]:65535",
        "http://[fe80::1:2]",
        "http://[2001:db8:0:0:0:0:0:1]",
        "https://open.example.com/api/paas/v4",
    ],
)
def test_an_address_may_be_a_name_or_a_number_with_a_port_and_a_path(program, base_url) -> None:
    made = program(make_admin()).post("/channels", {**NEW, "base_url": base_url})

    assert (made.status, made.body["base_url"]) == (201, base_url)


def test_a_change_leaves_what_it_does_not_name(program) -> None:
    channel = make_channel(models=["a", "b"], model_mapping={"a": "c"}, weight=7, key=KEY)

    answer = program(make_admin()).patch(f"/channels/{channel.pk}", {"name": "new", "weight": None})

    channel.refresh_from_db()
    assert (answer.status, answer.body["name"]) == (200, "new")
    assert (channel.models, channel.model_mapping, channel.weight) == (["a", "b"], {"a": "c"}, 7)
    assert channel.get_key() == KEY


def test_a_stored_key_goes_to_no_other_address(program) -> None:
    channel = make_channel(key=KEY)
    asks, path = program(make_admin()), f"/channels/{channel.pk}"

    without = asks.patch(path, {"base_url": "https://evil.example.com"})
    with_key = asks.patch(path, {"base_url": "https://new.example.com", "key": "sk-another-secret-key"})

    channel.refresh_from_db()
    assert (without.status, fields_of(without)) == (422, ["body.key"])
    assert with_key.status == 200
    assert (channel.base_url, channel.get_key()) == ("https://new.example.com", "sk-another-secret-key")


def test_a_model_that_is_mapped_cannot_be_taken_away_alone(program) -> None:
    channel = make_channel(models=["a", "b"], model_mapping={"a": "c"})
    asks, path = program(make_admin()), f"/channels/{channel.pk}"

    alone = asks.patch(path, {"models": ["b"]})
    both = asks.patch(path, {"models": ["b"], "model_mapping": {}})

    assert (alone.status, fields_of(alone)) == (422, ["body.model_mapping"])
    assert (both.status, both.body["models"], both.body["model_mapping"]) == (200, ["b"], {})


def test_a_channel_is_disabled_and_enabled_for_the_next_call(program) -> None:
    path = f"/channels/{make_channel().pk}"
    asks = program(make_admin())
    before = ConfigVersion.objects.get().version

    statuses = [asks.patch(path, {"status": status}).body["status"] for status in ("disabled", "enabled")]

    assert statuses == ["manually_disabled", "enabled"]
    assert ConfigVersion.objects.get().version == before + 2


def test_who_saw_an_old_version_neither_changes_nor_deletes_a_newer_one(program) -> None:
    path = f"/channels/{make_channel().pk}"
    asks = program(make_admin())
    seen = asks.get(path).headers["ETag"]
    newer = asks.patch(path, {"name": "newer"}, If_Match=seen).headers["ETag"]

    late = asks.patch(path, {"name": "late"}, If_Match=seen)
    deleted = asks.delete(path, If_Match=seen)

    assert [(answer.status, answer.code) for answer in (late, deleted)] == [(412, "lost_update")] * 2
    assert asks.get(path).headers["ETag"] == newer != seen
    assert asks.delete(path, If_Match=newer).status == 204


@pytest.mark.parametrize("change", [{"key": "sk-upstream-another-0001"}, {"status": "disabled"}])
def test_a_new_key_and_a_new_status_make_a_new_version(program, change) -> None:
    path = f"/channels/{make_channel(key=KEY).pk}"
    asks = program(make_admin())

    seen, changed = asks.get(path), asks.patch(path, change)

    assert changed.body["key_hint"] == seen.body["key_hint"]
    assert changed.headers["ETag"] != seen.headers["ETag"]


def test_a_use_and_a_test_make_no_new_version(program, sandbox) -> None:
    path = f"/channels/{channel_of(sandbox).pk}"
    asks = program(make_admin())
    seen = asks.get(path).headers["ETag"]

    asks.post(f"{path}/test", {})

    assert asks.get(path).headers["ETag"] == seen


def test_a_deleted_channel_is_gone_with_its_balances(program) -> None:
    channel = make_channel()
    make_snapshot(channel)
    asks, path = program(make_admin()), f"/channels/{channel.pk}"

    assert asks.delete(path).status == 204
    assert [asks.get(path).status, asks.delete(path).status] == [404, 404]
    assert not BalanceSnapshot.objects.exists()


def test_a_channel_that_answers_says_how_fast(program, sandbox) -> None:
    channel = channel_of(sandbox)

    answer = program(make_admin()).ask("POST", f"/channels/{channel.pk}/test")

    channel.refresh_from_db()
    assert answer.status == 200
    assert answer.body == {
        "ok": True,
        "model": "sandbox-echo",
        "latency_ms": channel.test_ms,
        "error": "",
    }
    assert channel.test_ms is not None


def test_a_channel_that_refuses_says_why(program, sandbox) -> None:
    path = f"/channels/{channel_of(sandbox).pk}"
    asks = program(make_admin())

    answer = asks.post(f"{path}/test", {"model": "sandbox-invalid-key"})

    assert (answer.status, answer.body["ok"], answer.body["latency_ms"]) == (200, False, None)
    assert "401" in answer.body["error"]
    assert asks.get(path).body["test_error"] == answer.body["error"]


def test_a_channel_that_is_down_says_so(program) -> None:
    answer = program(make_admin()).post(f"/channels/{make_channel().pk}/test", {"model": "test-model"})

    assert (answer.status, answer.body["ok"]) == (200, False)
    assert "refused" in answer.body["error"]


@pytest.mark.parametrize("model", ["not-served", "", "nul\0", 5])
def test_a_model_that_a_channel_does_not_serve_is_not_tested(program, sandbox, model) -> None:
    channel = channel_of(sandbox)

    answer = program(make_admin()).post(f"/channels/{channel.pk}/test", {"model": model})

    channel.refresh_from_db()
    assert (answer.status, fields_of(answer)) == (422, ["body.model"])
    assert channel.tested_at is None


def test_the_balance_is_asked_for_and_kept(program, sandbox) -> None:
    sandbox.reset()
    sandbox.set_account(balance_usd="12.340005")
    path = f"/channels/{channel_of(sandbox).pk}"
    asks = program(make_admin(), "channels")

    answer = asks.post(f"{path}/refresh-balance", {})

    assert answer.status == 200
    assert (answer.body["remaining"], answer.body["currency"]) == ("12.340005", "USD")
    assert (answer.body["kind"], answer.body["is_unlimited"]) == ("balance", False)
    assert asks.get(path).body["balance"] == answer.body
    assert asks.get(f"{path}/balance-snapshots").body == {"items": [answer.body], "next_cursor": None}


def test_a_provider_that_cannot_be_asked_is_said_to_be_away_and_leaves_the_last_balance(program) -> None:
    channel = make_channel()
    snapshot = make_snapshot(channel)
    asks = program(make_admin())

    answer = asks.ask("POST", f"/channels/{channel.pk}/refresh-balance")
    shown = asks.get(f"/channels/{channel.pk}").body

    assert (answer.status, answer.code) == (502, "balance_unavailable")
    assert shown["balance"]["id"] == snapshot.pk
    assert "refused" in shown["balance_error"]
    assert shown["balance_state"] == "stale"


def test_a_provider_that_refuses_says_why(program, sandbox) -> None:
    path = f"/channels/{channel_of(sandbox, key='sk-of-somebody-else-01').pk}"
    asks = program(make_admin())

    answer = asks.ask("POST", f"{path}/refresh-balance")

    assert (answer.status, answer.code) == (502, "balance_refused")
    assert "401" in answer.body["detail"]
    assert asks.get(path).body["balance_state"] == "error"


def test_two_do_not_ask_for_one_balance_at_the_same_time(program, sandbox) -> None:
    channel = channel_of(sandbox)
    balances.claim(channel_id=channel.pk, at=timezone.now())

    answer = program(make_admin()).ask("POST", f"/channels/{channel.pk}/refresh-balance")

    assert (answer.status, answer.code) == (409, "balance_being_read")


def test_a_balance_that_no_key_is_told_is_entered_by_hand(program) -> None:
    channel = make_channel(base_url="https://api.groq.com/openai")
    asks, path = program(make_admin()), f"/channels/{channel.pk}"

    told = asks.post(f"/channels/{make_channel().pk}/balance-snapshots", {"remaining": "1"})
    untold = asks.ask("POST", f"{path}/refresh-balance")
    entered = asks.post(f"{path}/balance-snapshots", {"remaining": "25.5"}, Idempotency_Key="1")
    again = asks.post(f"{path}/balance-snapshots", {"remaining": "25.5"}, Idempotency_Key="1")
    shown = asks.get(path).body

    assert (told.status, told.code) == (409, "balance_told")
    assert (untold.status, untold.code) == (409, "balance_not_told")
    assert (entered.status, entered.body["remaining"], entered.body["source"]) == (201, "25.500000", "manual")
    assert again.body == entered.body
    assert (shown["balance"], shown["balance_state"]) == (entered.body, "ok")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"remaining": "x"},
        {"remaining": "1e9"},
        {"remaining": "0.0000001"},
        {"remaining": 1, "currency": "usd"},
    ],
)
def test_what_is_no_balance_cannot_be_entered(program, wrong) -> None:
    answer = program(make_admin()).post(f"/channels/{make_channel().pk}/balance-snapshots", wrong)

    assert answer.status == 422
    assert not BalanceSnapshot.objects.exists()


def test_where_the_balance_is_read_from_is_set_with_its_credentials(program) -> None:
    asks = program(make_admin())
    access = {"admin_key": "sk-admin-0123456789"}
    made = asks.post("/channels", {**NEW, "balance_source": "openai_costs", "balance_access": access})
    path = f"/channels/{made.body['id']}"

    changed = asks.patch(path, {"balance_minutes": 60, "drift_tolerance": "2.5"})

    assert (made.status, made.body["balance_source"]) == (201, "openai_costs")
    assert made.body["balance_access_hints"] == {"admin_key": "…6789"}
    assert (changed.body["balance_minutes"], changed.body["drift_tolerance"]) == (60, "2.5")
    channel = Channel.objects.get(pk=made.body["id"])
    assert channel.get_balance_access() == access
    assert "sk-admin" not in channel.encrypted_balance_access


def test_a_source_that_needs_credentials_is_not_set_without_them(program) -> None:
    answer = program(make_admin()).post("/channels", {**NEW, "balance_source": "openai_costs"})

    assert (answer.status, fields_of(answer)) == (422, ["body.balance_source"])
    assert not Channel.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_provider_is_waited_for(program, sandbox, monkeypatch) -> None:
    path = f"/channels/{channel_of(sandbox).pk}"
    asks, are_open = program(make_admin()), []

    def watched(function: Any) -> Any:
        def watch(*args: Any, **options: Any) -> Any:
            are_open.append(connection.in_atomic_block)
            return function(*args, **options)

        return watch

    monkeypatch.setattr(balances, "read_balance", watched(balances.read_balance))
    monkeypatch.setattr(channel_test, "call", watched(channel_test.call))
    asks.post(f"{path}/test", {}, Idempotency_Key="1")
    asks.ask("POST", f"{path}/refresh-balance", Idempotency_Key="2")

    assert are_open == [False] * 2


def test_balances_are_exact_unknown_ones_null_and_the_newest_of_each_kind_count(program) -> None:
    channel = make_channel()
    make_snapshot(channel, remaining=Decimal("-0.000001"), used=Decimal("999999999.999999"))
    make_snapshot(channel, kind="spend", remaining=None)
    make_snapshot(channel, remaining=None, is_unlimited=True, created_at=NOON + timedelta(hours=1))
    asks = program(make_admin(), "read")

    body = asks.get(f"/channels/{channel.pk}").body
    items = asks.get(f"/channels/{channel.pk}/balance-snapshots").body["items"]

    assert (body["balance"]["is_unlimited"], body["balance"]["remaining"]) == (True, None)
    assert body["spend_limit"]["remaining"] is None
    assert [(item["remaining"], item["used"]) for item in items] == [
        (None, None),
        (None, None),
        ("-0.000001", "999999999.999999"),
    ]
    assert items[2]["created_at"] == "2026-03-02T12:00:00.000000Z"


def test_snapshots_are_paged_and_those_of_one_channel_only(program) -> None:
    channel = make_channel()
    make_snapshot(make_channel())
    ids = [make_snapshot(channel).pk for _ in range(3)]
    asks, path = program(make_admin()), f"/channels/{channel.pk}/balance-snapshots"

    first = asks.get(f"{path}?limit=2").body
    second = asks.get(f"{path}?limit=2&cursor={first['next_cursor']}").body

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_channels_are_listed_newest_first_and_by_status(program) -> None:
    off, on = make_channel(), make_channel()
    asks = program(make_admin(), "read")
    program(make_admin()).patch(f"/channels/{off.pk}", {"status": "disabled"})

    def listed(query: str) -> list[int]:
        return [item["id"] for item in asks.get(f"/channels?{query}").body["items"]]

    assert listed("") == [on.pk, off.pk]
    assert listed("status=enabled") == [on.pk]
    assert listed("status=manually_disabled") == [off.pk]
    assert asks.get("/channels?status=open").status == 422


def test_a_list_of_many_channels_takes_as_many_queries_as_one_of_few(program) -> None:
    asks = program(make_admin())
    for _ in range(20):
        make_snapshot(make_channel())

    assert queries_of(asks, "/channels?limit=2") == queries_of(asks, "/channels?limit=20")


def test_a_list_of_many_snapshots_takes_as_many_queries_as_one_of_few(program) -> None:
    channel = make_channel()
    asks, path = program(make_admin()), f"/channels/{channel.pk}/balance-snapshots"
    for _ in range(20):
        make_snapshot(channel)

    assert queries_of(asks, f"{path}?limit=2") == queries_of(asks, f"{path}?limit=20")


OPERATIONS = [
    ("GET", "/channels", None),
    ("POST", "/channels", NEW),
    ("GET", "/channels/{}", None),
    ("PATCH", "/channels/{}", {"name": "x"}),
    ("DELETE", "/channels/{}", None),
    ("POST", "/channels/{}/test", {}),
    ("POST", "/channels/{}/refresh-balance", None),
    ("GET", "/channels/{}/balance-snapshots", None),
]
OF_ONE = [operation for operation in OPERATIONS if "{}" in operation[1]]
WRITES = [operation for operation in OPERATIONS if operation[0] != "GET"]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_channels_are_for_operators(program, method, path, body) -> None:
    path = path.format(make_channel().pk)

    visitor = Program().ask(method, path, body)
    user = program(make_user()).ask(method, path, body)

    assert (visitor.status, visitor.code) == (401, "authentication_required")
    assert (user.status, user.code) == (403, "permission_denied")
    assert Channel.objects.get().name == "upstream"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_token_that_may_only_read_changes_no_channel(program, method, path, body) -> None:
    answer = program(make_root(), "read", "codes").ask(method, path.format(make_channel().pk), body)

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert Channel.objects.get().name == "upstream"


@pytest.mark.parametrize("pk", [999_999, 2**63 - 1])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_a_channel_that_is_not_there_is_not_found(program, method, path, body, pk) -> None:
    make_channel()

    assert program(make_admin()).ask(method, path.format(pk), body).status == 404


@pytest.mark.parametrize("pk", ["0", "-1", str(2**63), "x", "1.5"])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_no_number_of_a_channel_is_refused(program, method, path, body, pk) -> None:
    answer = program(make_admin()).ask(method, path.format(pk), body)

    assert (answer.status, fields_of(answer)) == (422, ["path.channel_id"])
