from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import openai
import pytest

from sandbox.account import Account, AmountError, Standing, format_usd, parse_usd
from tests.sandbox.server import SandboxServer, start_sandbox

NOVEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


def test_a_new_account_has_100_dollars_and_a_cap_of_500(sandbox: SandboxServer) -> None:
    account = sandbox.account()

    assert account["balance_usd"] == "100.00"
    assert account["monthly_cap_usd"] == "500.00"
    assert account["used_usd"] == account["spent_this_month_usd"] == "0.00"
    assert account["prices"]["sandbox-echo"] == {"prompt_usd_per_1m": "1", "completion_usd_per_1m": "2"}


def test_an_answer_costs_its_tokens_by_the_price_list(sandbox: SandboxServer) -> None:
    sandbox.chat(text="one two three")

    account = sandbox.account()
    assert account["balance_usd"] == "99.999987"
    assert account["used_usd"] == account["spent_this_month_usd"] == "0.000013"


def test_a_used_up_balance_refuses_every_model_with_insufficient_quota(sandbox: SandboxServer) -> None:
    sandbox.set_account(balance_usd="0")

    for model in ("sandbox-echo", "sandbox-slow", "sandbox-rate-limit", "sandbox-spend-limit"):
        reply = sandbox.chat(model)
        assert (reply.status, reply.json()["error"]["code"]) == (429, "insufficient_quota")


def test_the_last_call_is_let_in_while_anything_is_left(sandbox: SandboxServer) -> None:
    sandbox.set_account(balance_usd="0.000001")

    assert [sandbox.chat().status, sandbox.chat().status] == [200, 429]
    assert sandbox.account()["balance_usd"] == "-0.000012"


def test_a_recharge_lets_calls_in_again(sandbox: SandboxServer) -> None:
    sandbox.set_account(balance_usd="0")
    sandbox.set_account(balance_usd="12.34")

    assert sandbox.chat().status == 200
    assert sandbox.account()["balance_usd"] == "12.339987"


def test_a_reached_cap_refuses_with_billing_hard_limit_reached(
    sandbox: SandboxServer, client: openai.OpenAI
) -> None:
    sandbox.chat()
    sandbox.set_account(monthly_cap_usd="0.000013")

    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="sandbox-echo", messages=[{"role": "user", "content": "hi"}])

    assert caught.value.code == "billing_hard_limit_reached"


def test_the_month_starts_again_in_utc() -> None:
    account = Account(monthly_cap=5)
    account.charge(5, at=NOVEMBER)

    assert account.standing(at=NOVEMBER) is Standing.CAP_REACHED
    assert account.standing(at=DECEMBER) is Standing.GOOD
    assert account.as_dict(at=DECEMBER)["month"] == "2026-12"
    assert account.used == 5


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_balance_is_read_as_from_a_one_api_site(sandbox: SandboxServer, prefix: str) -> None:
    sandbox.set_account(balance_usd="75")
    sandbox.chat(text="one two three")

    subscription = sandbox.request("GET", f"{prefix}/dashboard/billing/subscription")
    usage = sandbox.request(
        "GET", f"{prefix}/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-12-31"
    )

    assert subscription.json() == {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": 75,
        "hard_limit_usd": 75,
        "system_hard_limit_usd": 75,
        "access_until": 0,
    }
    assert usage.json()["object"] == "list"
    assert b'"total_usage":0.0013}' in usage.body
    assert Decimal(75) - Decimal("0.0013") / 100 == Decimal(sandbox.account()["balance_usd"])


def test_the_balance_needs_the_key(sandbox: SandboxServer) -> None:
    assert sandbox.request("GET", "/v1/dashboard/billing/usage", headers={}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"balance_usd": "-1"},
        {"balance_usd": 1.5},
        {"balance_usd": "1e3"},
        {"balance_usd": "0.0000001"},
        {"balance_usd": None},
        {"balance_usd": "5", "monthly_cap_usd": "lots"},
        {"balance": "5"},
        ["5"],
    ],
)
def test_a_senseless_amount_is_refused_and_changes_nothing(sandbox: SandboxServer, body: object) -> None:
    reply = sandbox.request("POST", "/sandbox/account", body)

    assert reply.status == 400
    assert sandbox.account()["balance_usd"] == "100.00"


def test_reset_makes_a_new_account_and_forgets_the_requests(sandbox: SandboxServer) -> None:
    sandbox.chat()
    sandbox.set_account(balance_usd="1", monthly_cap_usd="2")

    account = sandbox.reset()

    assert (account["balance_usd"], account["monthly_cap_usd"], account["used_usd"]) == (
        "100.00",
        "500.00",
        "0.00",
    )
    assert sandbox.requests() == {"total": 0, "disconnected": 0, "models": {}, "recent": []}


def test_the_account_outlives_the_process(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, balance_usd="7", monthly_cap_usd="9") as first:
        first.chat()
    with start_sandbox(tmp_path) as second:
        account = second.account()

    assert account["balance_usd"] == "6.999987"
    assert account["monthly_cap_usd"] == "9.00"
    assert account["used_usd"] == "0.000013"


@pytest.mark.parametrize("broken", ["{", "[]", '{"balance": 1.5}', "\udcff"])
def test_a_broken_state_file_is_kept_aside_and_the_account_starts_afresh(tmp_path: Path, broken: str) -> None:
    (tmp_path / "sandbox.json").write_text(broken, encoding="utf-8", errors="surrogateescape")

    with start_sandbox(tmp_path) as server:
        account = server.account()

    [aside] = tmp_path.glob("sandbox.json.broken-*")
    assert account["balance_usd"] == "100.00"
    assert aside.read_text(encoding="utf-8", errors="surrogateescape") == broken
    assert "is broken" in server.log_path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "micros"), [("0", 0), ("12.34", 12_340_000), ("0.000001", 1), ("100", 100_000_000)]
)
def test_an_amount_is_read_and_written_exactly(text: str, micros: int) -> None:
    assert parse_usd(text) == micros
    assert Decimal(format_usd(micros)) == Decimal(text)


@pytest.mark.parametrize("value", ["", "-1", "1.", ".5", "NaN", "1,000", "١", "1\n", True, 0.1, None])
def test_what_is_no_amount_is_not_read(value: object) -> None:
    with pytest.raises(AmountError):
        parse_usd(value)
