"""Codes in clear, for as long as they can be read."""

from datetime import timedelta

import pytest

from accounts.models import AuditEvent
from redemption.models import CodeBatch, SealedCodes
from redemption.services import batches, code_parts, sealed
from redemption.services.batches import BatchTerms
from redemption.services.redeeming import redeem
from redemption.services.sealed import CodesGoneError, CodesNotReadyError
from tests.factories import NOON, balance_of, codes_in_clear, make_admin, make_batch, make_user
from tests.redemption.test_redeeming import all_columns_of_all_tables

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(hours=24)


def read(batch: CodeBatch, *, at=NOON) -> list[str]:
    return list(sealed.open_codes(actor=None, batch=batch, how="csv", at=at))


def test_codes_are_nowhere_in_clear_neither_before_nor_after_they_are_redeemed() -> None:
    batch = make_batch(count=2)
    codes = codes_in_clear(batch)
    redeem(code=codes[0], user=make_user(), at=NOON)

    everything = all_columns_of_all_tables()

    for code in codes:
        assert code not in everything
        assert code.replace("-", "") not in everything
        assert str(code_bits(code))[2:-1] not in everything


def code_bits(code: str) -> bytes:
    from redemption import code_format

    return code_format.read(code)


def test_they_can_be_read_again_and_again_for_a_day_and_then_no_more(settings) -> None:
    batch = make_batch(count=250)

    first, again = read(batch), read(batch, at=NOON + DAY - timedelta(microseconds=1))

    assert first == again
    assert len(first) == 250
    with pytest.raises(CodesGoneError, match="spring"):
        read(batch, at=NOON + DAY)


def test_how_long_is_a_setting(settings) -> None:
    settings.CODE_EXPORT_HOURS = 0.5

    assert make_batch().sealed_until == NOON + timedelta(minutes=30)


def test_when_their_time_is_over_they_are_deleted_and_can_still_be_redeemed() -> None:
    batch, later = make_batch(count=2), make_batch(at=NOON + timedelta(hours=1))
    [code, _other] = codes_in_clear(batch)

    assert sealed.forget_expired(at=NOON + DAY - timedelta(microseconds=1)) == 0
    assert sealed.forget_expired(at=NOON + DAY) == 1

    assert set(SealedCodes.objects.values_list("batch", flat=True)) == {later.pk}
    batch.refresh_from_db()
    assert batch.sealed_until is None
    user = make_user()
    redeem(code=code, user=user, at=NOON + DAY)
    assert balance_of(user) == 500


def test_who_has_them_can_have_them_deleted_at_once() -> None:
    batch, admin = make_batch(), make_admin()

    for _ in range(2):
        sealed.forget_codes(actor=admin, batch=batch)

    with pytest.raises(CodesGoneError):
        read(batch)
    assert not SealedCodes.objects.exists()
    assert AuditEvent.objects.filter(action="code_batch.forgotten", actor=admin).count() == 1


def test_a_list_that_is_cut_short_meanwhile_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMALLEST_PART", "LARGEST_PART"):
        monkeypatch.setattr(code_parts, name, 100)
    batch = make_batch(count=250)
    reader = sealed.open_codes(actor=None, batch=batch, how="csv", at=NOON)
    begun = [next(reader) for _ in range(50)]

    sealed.forget_codes(actor=make_admin(), batch=batch)

    assert len(begun) == 50
    with pytest.raises(CodesGoneError):
        list(reader)


def test_codes_that_are_not_made_cannot_be_read() -> None:
    terms = BatchTerms(name="spring", quota=5, count=2)
    batch = batches.create_batch(actor=make_admin(), terms=terms, at=NOON)

    with pytest.raises(CodesNotReadyError):
        read(batch)
    batches.cancel_batch(actor=make_admin(), batch=batch)
    with pytest.raises(CodesGoneError):
        read(batch)


def test_every_reading_is_in_the_audit_log_and_the_first_one_on_the_batch() -> None:
    batch, admin = make_batch(), make_admin()

    for hours, form in ((1, "csv"), (2, "pdf")):
        sealed.open_codes(actor=admin, batch=batch, how=form, at=NOON + timedelta(hours=hours))

    batch.refresh_from_db()
    assert batch.downloaded_at == NOON + timedelta(hours=1)
    events = AuditEvent.objects.filter(action="code_batch.downloaded").order_by("pk")
    assert [event.changes["format"]["new"] for event in events] == ["csv", "pdf"]
    assert {event.actor_id for event in events} == {admin.pk}
