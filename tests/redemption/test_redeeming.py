"""Codes that become quota, once."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from structlog.testing import capture_logs

from accounts.models import User
from billing.models import LedgerEntry, QuotaAccount
from billing.services.accounts import InvalidAmountError
from billing.services.audit import audit_ledger
from billing.services.ledger import QuotaTooLargeError
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import services
from redemption.models import CodeBatch, CodeStatus, RedemptionCode
from redemption.services import ALPHABET, BatchTooLargeError, CodeNotRedeemableError
from tests.factories import NOON, balance_of, make_admin, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def make_codes(*, quota: int = 500, count: int = 1) -> list[str]:
    _batch, codes = services.create_batch(
        actor=make_admin(), name="spring", quota=quota, count=count, at=NOON
    )
    return codes


def make_code(**fields) -> str:
    return make_codes(**fields)[0]


def redeem(code: str, user: User) -> LedgerEntry:
    return services.redeem(code=code, user=user, at=NOON)


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


def test_a_batch_has_as_many_codes_as_asked_for_all_different_and_of_one_form() -> None:
    actor = make_admin()

    batch, codes = services.create_batch(actor=actor, name="spring", quota=500, count=250, at=NOON)

    assert len(set(codes)) == 250 == batch.codes.count()
    assert all([len(part) for part in code.split("-")] == [4, 4, 4, 4] for code in codes)
    assert set("".join(codes)) == {*ALPHABET, "-"}
    assert (batch.name, batch.quota, batch.count) == ("spring", 500, 250)
    assert (batch.created_by_id, batch.created_at) == (actor.pk, NOON)
    assert set(batch.codes.values_list("quota", "status")) == {(500, "enabled")}


def test_the_alphabet_has_none_of_the_letters_that_people_misread() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_is_kept_as_a_keyed_hash_and_its_last_four_characters(settings) -> None:
    code = make_code()

    stored = RedemptionCode.objects.get()
    everything = all_columns_of_all_tables()
    assert code not in everything
    assert code.replace("-", "") not in everything
    assert stored.hint == code[-4:]
    assert stored.digest == services.code_digest(code)
    settings.CODE_SECRET = "another secret"
    assert stored.digest != services.code_digest(code)


def test_a_used_code_is_still_nowhere_in_clear() -> None:
    code = make_code()
    redeem(code, make_user())

    everything = all_columns_of_all_tables()
    assert code not in everything
    assert code.replace("-", "") not in everything


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_a_batch_has_between_1_and_10_000_codes(count: int) -> None:
    with pytest.raises(BatchTooLargeError, match="10000"):
        make_codes(count=count)

    assert not CodeBatch.objects.exists()


@pytest.mark.parametrize("quota", [0, -5, MAX_QUOTA + 1])
def test_a_code_is_worth_between_one_unit_and_the_largest_amount(quota: int) -> None:
    with pytest.raises(InvalidAmountError, match=str(MAX_QUOTA)):
        make_codes(quota=quota)

    assert not CodeBatch.objects.exists()


@pytest.mark.parametrize("name", ["", "n" * 65])
def test_a_batch_needs_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        services.create_batch(actor=make_admin(), name=name, quota=5, count=1, at=NOON)

    assert not CodeBatch.objects.exists()


def test_a_batch_that_cannot_be_stored_whole_is_not_stored_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([*range(599), 0])  # the last of 600 is one that was made before
    monkeypatch.setattr(services, "_new_code", lambda: f"{next(numbers):016d}")

    with pytest.raises(IntegrityError):
        make_codes(count=600)

    assert not CodeBatch.objects.exists()
    assert not RedemptionCode.objects.exists()


def test_a_code_becomes_quota_and_names_who_took_it_and_when() -> None:
    user = make_user(balance=7)
    code = make_code(quota=500)

    entry = redeem(code, user)

    stored = RedemptionCode.objects.get()
    assert balance_of(user) == 507
    assert (stored.status, stored.redeemed_by_id, stored.redeemed_at) == ("used", user.pk, NOON)
    assert (entry.kind, entry.amount, entry.balance_after) == ("redemption", 500, 507)
    assert (entry.reference, entry.memo) == (f"code:{stored.pk}", f"…{code[-4:]}")
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
            services.redeem(code=code, user=user, at=NOON + timedelta(days=1))

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
def test_what_is_no_code_at_all_is_refused_like_any_other(code: str) -> None:
    make_code()
    user = make_user(balance=7)

    error, line = refusal_of(code, user)

    assert error.http_status == 409
    assert line["reason"] == "unknown"
    assert balance_of(user) == 7


def test_guessing_teaches_nothing_and_the_log_knows_the_reason() -> None:
    used, disabled = make_codes(count=2)
    used_pk, disabled_pk = RedemptionCode.objects.order_by("pk").values_list("pk", flat=True)
    redeem(used, make_user())
    services.set_code_status(actor=None, code=RedemptionCode.objects.get(pk=disabled_pk), is_enabled=False)
    user = make_user()

    refusals = [refusal_of(code, user) for code in (used, disabled, "0000-0000-0000-0000")]

    assert (
        len({(error.full_text, error.code, error.http_status, str(error.context)) for error, _ in refusals})
        == 1
    )
    assert [(line["reason"], line["code_id"], line["user_id"]) for _error, line in refusals] == [
        ("used", used_pk, user.pk),
        ("disabled", disabled_pk, user.pk),
        ("unknown", None, user.pk),
    ]
    assert all(line["event"] == "redemption.code_refused" for _error, line in refusals)


def test_the_log_of_a_refusal_does_not_hold_the_code() -> None:
    code = make_code()
    redeem(code, make_user())

    _error, line = refusal_of(code)

    assert code not in str(line)
    assert code.replace("-", "") not in str(line)


def test_a_refusal_leaves_no_account_behind() -> None:
    user = User.objects.create(username="signed-up")

    refusal_of("0000-0000-0000-0000", user)

    assert not QuotaAccount.objects.filter(user=user).exists()


@pytest.mark.parametrize(
    "typed",
    [
        "7k9m-01qr-xyz2-3456",
        "7K9M01QRXYZ23456",
        "  7k9m 01qr xyz2 3456  ",
        "7K9M-O1QR-XYZ2-3456",
        "7k9m-olqr-xyz2-3456",
        "7k9m-oIqr-xyz2-3456",
        "7-K-9-M-0-1-Q-R-X-Y-Z-2-3-4-5-6",
    ],
)
def test_case_spaces_hyphens_and_misread_letters_do_not_matter(monkeypatch, typed: str) -> None:
    monkeypatch.setattr(services, "_new_code", lambda: "7K9M-01QR-XYZ2-3456")
    make_code(quota=5)
    user = make_user()

    redeem(typed, user)

    assert balance_of(user) == 5


@pytest.mark.parametrize("typed", ["7K9M-01QR-XYZ2-345", "7K9M-01QR-XYZ2-34566", "7K9M-01QR-XYZ2-3457"])
def test_a_code_with_a_wrong_missing_or_extra_character_is_another_code(monkeypatch, typed: str) -> None:
    monkeypatch.setattr(services, "_new_code", lambda: "7K9M-01QR-XYZ2-3456")
    make_code()

    _error, line = refusal_of(typed)

    assert line["reason"] == "unknown"


def test_a_disabled_code_is_refused_until_it_is_enabled_again() -> None:
    code = make_code(quota=5)
    stored = RedemptionCode.objects.get()
    user = make_user()

    assert services.set_code_status(actor=None, code=stored, is_enabled=False)
    refusal_of(code, user)
    assert services.set_code_status(actor=None, code=stored, is_enabled=True)
    redeem(code, user)

    assert balance_of(user) == 5


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_used_code_stays_used_also_for_whoever_saw_it_before(is_enabled: bool) -> None:
    code = make_code()
    seen_before = RedemptionCode.objects.get()
    redeem(code, make_user())

    changed = services.set_code_status(actor=None, code=seen_before, is_enabled=is_enabled)

    assert not changed
    assert RedemptionCode.objects.get().status == "used"
    assert broken_invariants() == []


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
        {"quota": 0},
    ],
)
def test_the_database_itself_refuses_a_code_that_contradicts_itself(fields) -> None:
    make_code()

    with pytest.raises(IntegrityError), transaction.atomic():
        RedemptionCode.objects.update(**fields)
