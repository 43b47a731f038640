"""Codes that become quota."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from accounts.models import User
from billing.models import LedgerEntry
from billing.services.audit import audit_ledger
from billing.services.ledger import QuotaTooLargeError
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import queries
from redemption.code_format import CodeMistypedError
from redemption.models import BatchDay, BatchStatus, CodeBatch, CodeStatus, Redemption, RedemptionCode
from redemption.services import batches, redeeming
from redemption.services.codes import set_code_status
from redemption.services.redeeming import CodeNotRedeemableError
from redemption.services.secrets import code_digests
from tests.factories import (
    NOON,
    balance_of,
    codes_in_clear,
    make_batch,
    make_code,
    make_codes,
    make_root,
    make_user,
)

pytestmark = pytest.mark.django_db(transaction=True)
NO_CODE = "0000-0000-0000-0000-0"
"""As it is written, but none that was made."""


def redeem(code: str, user: User) -> LedgerEntry:
    return redeeming.redeem(code=code, user=user, at=NOON)


def refusal_of(code: str, user: User | None = None) -> tuple[CodeNotRedeemableError, dict]:
    """The error that the caller sees, and the line that the log keeps."""
    with capture_logs() as logs, pytest.raises(CodeNotRedeemableError) as refused:
        redeem(code, user or make_user())
    [line] = logs
    return refused.value, line


def all_columns_of_all_tables() -> str:
    with connection.cursor() as cursor:
        texts = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            texts.append(str(cursor.fetchall()))
    return "\n".join(texts)


def broken_invariants() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_a_code_becomes_quota_and_names_who_took_it_and_when() -> None:
    user = make_user(balance=7)
    code = make_code(quota=500)

    entry = redeem(code, user)

    stored = RedemptionCode.objects.get()
    assert balance_of(user) == 507
    assert (stored.status, stored.redeemed_by_id, stored.redeemed_at) == ("used", user.pk, NOON)
    assert (entry.kind, entry.amount, entry.balance_after) == ("redemption", 500, 507)
    assert (entry.reference, entry.memo) == (f"code:{stored.pk}", f"…{code[-6:-2]}")
    [redemption] = Redemption.objects.all()
    assert (redemption.code_id, redemption.number, redemption.user_id) == (stored.pk, 1, user.pk)
    assert (redemption.entry_id, redemption.batch_id) == (entry.pk, stored.batch_id)
    assert broken_invariants() == []


def test_each_code_of_a_batch_is_its_own() -> None:
    user, other = make_user(), make_user()
    codes = make_codes(quota=5, count=3)

    redeem(codes[0], user)
    redeem(codes[1], other)

    assert (balance_of(user), balance_of(other)) == (5, 5)
    assert RedemptionCode.objects.filter(status=CodeStatus.ENABLED).count() == 1


def test_whoever_signed_up_without_an_account_gets_one_with_the_first_code() -> None:
    user = User.objects.create(username="signed-up")

    redeem(make_code(quota=5), user)

    assert balance_of(user) == 5


def test_a_used_code_is_refused_and_the_balances_stay() -> None:
    first, late = make_user(), make_user(balance=7)
    code = make_code(quota=500)
    redeem(code, first)

    for user in (late, first):
        with pytest.raises(CodeNotRedeemableError):
            redeeming.redeem(code=code, user=user, at=NOON + timedelta(days=1))

    assert (balance_of(first), balance_of(late)) == (500, 7)
    assert RedemptionCode.objects.get().redeemed_at == NOON
    assert broken_invariants() == []


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        "-",
        "0",
        "0000-0000-0000-0000",
        "A" * 10_000,
        "\0",
        "ABCD\0EFGH",
        "💥" * 16,
        "额度",
        "\ud800",
        "' OR 1=1 --",
        "%s",
        "ı" * 16,
        "ﬁ" * 8,
    ],
)
def test_what_can_be_no_code_is_refused_without_a_look_at_any(code: str) -> None:
    make_code()
    user = make_user(balance=7)

    with CaptureQueriesContext(connection) as context, pytest.raises(CodeMistypedError) as refused:
        redeem(code, user)

    assert refused.value.http_status == 422
    assert len(context) == 0
    assert balance_of(user) == 7


def unredeemable(case: str) -> str:
    """A code that cannot be redeemed, for one reason or another."""
    terms = {
        "scheduled": {"valid_from": NOON + timedelta(hours=1)},
        "expired": {"valid_until": NOON + timedelta(seconds=1)},
        "other_group": {"group": "vip"},
    }
    batch = make_batch(count=1, at=NOON - timedelta(days=1), **terms.get(case.removeprefix("batch_"), {}))
    [code], [stored] = codes_in_clear(batch), batch.codes.all()
    match case:
        case "unknown":
            return NO_CODE
        case "used":
            redeem(code, make_user())
        case "disabled":
            set_code_status(actor=None, code=stored, is_enabled=False)
        case "batch_disabled":
            batches.set_batch_status(actor=make_root(), batch=batch, is_enabled=False)
        case "batch_revoked":
            batches.revoke_batch(actor=make_root(), batch=batch)
        case "batch_expired":
            CodeBatch.objects.filter(pk=batch.pk).update(valid_until=NOON)
    return code


CASES = [
    "unknown",
    "used",
    "disabled",
    "batch_disabled",
    "batch_revoked",
    "batch_scheduled",
    "batch_expired",
    "other_group",
]


@pytest.mark.parametrize("case", CASES)
def test_guessing_teaches_nothing_and_the_log_knows_the_reason(case: str) -> None:
    code, user = unredeemable(case), make_user(balance=7)

    error, line = refusal_of(code, user)

    assert (error.code, error.http_status, error.context) == ("code_not_redeemable", 409, {})
    assert (line["event"], line["reason"], line["user_id"]) == ("redemption.code_refused", case, user.pk)
    assert (line["code_id"] is None) == (case == "unknown")
    assert balance_of(user) == 7
    assert broken_invariants() == []


def test_a_code_can_be_redeemed_from_its_first_moment_and_until_before_its_last() -> None:
    early, late = NOON, NOON + timedelta(hours=1)
    codes = make_codes(count=2, valid_from=early, valid_until=late, at=NOON - timedelta(days=1))
    moments = [early - timedelta(microseconds=1), early, late - timedelta(microseconds=1), late]

    def works(code: str, at: datetime) -> bool:
        try:
            return bool(redeeming.redeem(code=code, user=make_user(), at=at))
        except CodeNotRedeemableError:
            return False

    assert [works(code, at) for code, at in zip([codes[0], *codes, codes[1]], moments, strict=True)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_gift_code_is_good_for_so_many_people_and_once_for_each() -> None:
    code = make_code(quota=5, uses_per_code=3)
    first, second, third = (make_user() for _ in range(3))

    redeem(code, first)
    assert refusal_of(code, first)[1]["reason"] == "used_by_user"
    redeem(code, second)
    assert RedemptionCode.objects.get().status == "enabled"
    redeem(code, third)

    assert refusal_of(code)[1]["reason"] == "used"
    assert [balance_of(user) for user in (first, second, third)] == [5, 5, 5]
    assert list(Redemption.objects.order_by("number").values_list("number", "user_id")) == [
        (1, first.pk),
        (2, second.pk),
        (3, third.pk),
    ]
    stored = RedemptionCode.objects.get()
    assert (stored.status, stored.used_count, stored.redeemed_by_id) == ("used", 3, third.pk)
    assert broken_invariants() == []


def test_a_person_may_use_a_code_as_often_as_its_batch_says() -> None:
    code, user = make_code(quota=5, uses_per_code=5, uses_per_user=2), make_user()

    redeem(code, user)
    redeem(code, user)

    assert refusal_of(code, user)[1]["reason"] == "used_by_user"
    assert balance_of(user) == 10


def test_of_a_batch_for_newcomers_each_person_gets_one_code() -> None:
    codes, other = make_codes(count=3, is_once_per_user=True), make_code(is_once_per_user=True)
    user = make_user()

    redeem(codes[0], user)

    assert refusal_of(codes[1], user)[1]["reason"] == "batch_used_by_user"
    redeem(codes[1], make_user())
    redeem(other, user)
    assert balance_of(user) == 1000


def test_a_code_for_a_group_is_good_for_its_people() -> None:
    code, member = make_code(group="vip"), make_user(group="vip")

    redeem(code, member)

    assert balance_of(member) == 500


def test_a_batch_whose_codes_are_not_all_there_cannot_be_redeemed() -> None:
    batch = make_batch(count=1)
    [code] = codes_in_clear(batch)
    CodeBatch.objects.filter(pk=batch.pk).update(status=BatchStatus.CREATING)

    assert refusal_of(code)[1]["reason"] == "batch_creating"


def test_the_batch_sums_what_was_redeemed_on_which_day() -> None:
    batch = make_batch(count=3)
    codes = codes_in_clear(batch)

    for code, days in zip(codes, (0, 0, 2), strict=True):
        redeeming.redeem(code=code, user=make_user(), at=NOON + timedelta(days=days))

    assert list(queries.redeemed_by_day(batch)) == [
        (NOON.date(), 2),
        (NOON.date() + timedelta(days=1), 0),
        (NOON.date() + timedelta(days=2), 1),
    ]
    assert BatchDay.objects.aggregate(used=Sum("used_count")) == {"used": 3}


def test_the_log_of_a_refusal_does_not_hold_the_code() -> None:
    code = make_code()
    redeem(code, make_user())

    _error, line = refusal_of(code)

    assert code not in str(line)
    assert code.replace("-", "") not in str(line)


def test_a_refusal_of_somebody_without_an_account_is_a_refusal() -> None:
    user = User.objects.create(username="signed-up")

    refusal_of(NO_CODE, user)

    assert not LedgerEntry.objects.filter(account=user.pk).exists()


def typed_variants(code: str) -> list[str]:
    plain = code.replace("-", "")
    misread = code.replace("0", "o").replace("1", "l")
    wide = "".join(chr(ord(symbol) + 0xFEE0) for symbol in plain)
    return [
        code.lower(),
        plain,
        f"  {code.replace('-', ' ')}\t",
        "-".join(plain),
        misread,
        code.replace("1", "I").replace("0", "O"),
        wide,
        code.replace("-", "–"),
    ]


@pytest.mark.parametrize("variant", range(8))
def test_case_width_spaces_dashes_and_misread_letters_do_not_matter(variant: int) -> None:
    code = next(code for code in make_codes(quota=5, count=200) if {"0", "1"} <= set(code))
    user = make_user()

    redeem(typed_variants(code)[variant], user)

    assert balance_of(user) == 5


def test_a_code_of_one_api_is_taken_in_either_case_and_with_the_dashes_of_a_uuid() -> None:
    batch, bits = make_batch(count=1), bytes.fromhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    RedemptionCode.objects.update(digest=code_digests(bits)[0])
    user = make_user()

    redeem("0F1E2D3C-4b5a-6978-8796-a5b4c3d2e1f0", user)

    assert balance_of(user) == batch.quota


def test_a_replaced_secret_still_finds_the_codes_that_were_made_with_it(settings) -> None:
    settings.CODE_SECRET, settings.CODE_SECRET_FALLBACKS = "the old secret", []
    old = make_code()
    settings.CODE_SECRET, settings.CODE_SECRET_FALLBACKS = "the new secret", ["the old secret"]
    new, user = make_code(), make_user()

    redeem(old, user)
    redeem(new, user)

    assert balance_of(user) == 1000
    settings.CODE_SECRET_FALLBACKS = []
    refusal_of(old)


def test_a_code_that_would_pass_the_largest_balance_stays_unused() -> None:
    user = make_user(balance=MAX_QUOTA)
    code = make_code(quota=1)

    with pytest.raises(QuotaTooLargeError):
        redeem(code, user)

    assert RedemptionCode.objects.get().status == "enabled"
    assert RedemptionCode.objects.get().redeemed_by_id is None
    assert balance_of(user) == MAX_QUOTA
    assert broken_invariants() == []
    other = make_user()
    redeem(code, other)
    assert balance_of(other) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "used"},
        {"redeemed_at": NOON},
        {"used_count": 1},
    ],
)
def test_the_database_itself_refuses_a_code_that_contradicts_itself(fields) -> None:
    make_code()

    with pytest.raises(IntegrityError), transaction.atomic():
        RedemptionCode.objects.update(**fields)


@pytest.mark.parametrize(
    "change", ["UPDATE redemption_redemption SET number = 2", "DELETE FROM redemption_redemption"]
)
def test_the_database_itself_refuses_to_change_what_was_redeemed(change: str) -> None:
    redeem(make_code(), make_user())

    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)


def test_the_database_itself_refuses_a_second_redemption_of_the_same_use() -> None:
    redeem(make_code(), make_user())
    first = Redemption.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        Redemption.objects.create(
            code=first.code,
            number=1,
            batch=first.batch,
            user=make_user(),
            entry_id=first.entry_id + 1,
            created_at=NOON,
        )
