"""The product's story from the first sign-in to the proof that it all adds up, as people live it."""

from decimal import Decimal

import openai
import pytest

from tests.serve.installation import Serving
from tests.story.people import Person

pytestmark = pytest.mark.browser
PASSWORD = "correct horse battery staple"
LONG_TEXT = "word " * 500


def ask(client: openai.OpenAI, *, stream: bool = False) -> str:
    """One call of a few hundred quota units; returns the answer."""
    answer = client.chat.completions.create(
        model="sandbox-echo",
        messages=[{"role": "user", "content": LONG_TEXT}],
        max_tokens=600,
        stream=stream,
    )
    if not stream:
        return answer.choices[0].message.content or ""
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer)


def ask_until_refused(client: openai.OpenAI) -> tuple[int, openai.PermissionDeniedError]:
    """Call, JSON and stream in turn, until the quota is used up: the number of answers and the refusal."""
    for answers in range(1_000):
        try:
            assert ask(client, stream=bool(answers % 2)).startswith("word word")
        except openai.PermissionDeniedError as refusal:
            return answers, refusal
    raise AssertionError("never refused")


def test_top_up_call_run_dry_redeem_and_call_again(root: Person, visitor: Person, serving: Serving) -> None:
    root.refreshes_the_balance_of("Sandbox")
    root.creates_user("ann", PASSWORD, dollars="0.01")
    ann = visitor
    ann.sign_in("ann", PASSWORD)
    key = ann.makes_a_token("unlimited")

    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key=key, max_retries=0) as client:
        answers, dry = ask_until_refused(client)
        assert answers >= 2
        assert (dry.status_code, dry.code) == (403, "insufficient_user_quota")
        details = dry.body["details"]
        assert details["quota"] == "user"
        assert 0 <= details["left"] < details["needed"]
        for words in (
            "user quota",
            "is left",
            "needs up to",
            "the channel for “sandbox-echo” still has money",
        ):
            assert words in dry.message

        root.tops_up("ann", dollars="0.01")
        assert ask(client).startswith("word")
        _answers, dry_again = ask_until_refused(client)
        assert dry_again.code == "insufficient_user_quota"

        ann.redeems(root.makes_a_code(dollars="0.01"))
        assert ask(client).startswith("word")

    amounts = ann.amounts_of_the_statement()
    balance = Decimal(serving.installation.shell(BALANCE_OF_ANN)) / 500_000
    assert sorted(amount for amount in amounts if amount > 0) == [Decimal("0.01")] * 3
    assert sum(amounts) == balance
    audit = serving.installation.manage("audit_ledger")
    assert audit.returncode == 0, audit.stdout
    assert "The ledger adds up." in audit.stdout


BALANCE_OF_ANN = (
    "from billing.models import QuotaAccount;print(QuotaAccount.objects.get(user__username='ann').balance)"
)


def test_a_token_limit_is_told_apart_from_the_user_quota(
    root: Person, visitor: Person, serving: Serving
) -> None:
    root.creates_user("ben", PASSWORD, dollars="10")
    visitor.sign_in("ben", PASSWORD)
    key = visitor.makes_a_token("small", limit="0.01")

    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key=key, max_retries=0) as client:
        answers, refusal = ask_until_refused(client)

    assert answers >= 2
    assert (refusal.status_code, refusal.code) == (403, "pre_consume_token_quota_failed")
    assert refusal.body["details"]["quota"] == "token"
    for words in ("token “small”", "own quota limit", "Your user quota is not the cause"):
        assert words in refusal.message
    assert serving.installation.manage("audit_ledger").returncode == 0
