"""Reading batches, codes and redemptions; what a list costs does not depend on how long it is."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet

from accounts.models import Role
from billing.services import reversals
from oneapi_admin.lib.pagination import page_by_time
from redemption import queries
from redemption.code_format import CodeMistypedError
from redemption.models import BatchState, CodeBatch, CodeStatus, Redemption, RedemptionCode
from redemption.services.redeeming import redeem
from redemption.services.secrets import code_digests
from tests.factories import NOON, codes_in_clear, make_admin, make_batch, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 20_000


def test_a_funnel_tells_what_became_of_the_codes() -> None:
    batch, root = make_batch(count=5, valid_until=NOON + timedelta(days=1)), make_root()
    codes = codes_in_clear(batch)
    entries = [redeem(code=code, user=make_user(), at=NOON) for code in codes[:3]]
    reversals.reverse(actor=root, entry=entries[0], memo="stolen", at=NOON)

    found = queries.batches().get()
    funnel = queries.funnel(found)

    assert (funnel.made, funnel.is_downloaded) == (5, True)
    assert (funnel.redeemed, funnel.redeemed_quota) == (3, 1500)
    assert (funnel.reversed, funnel.reversed_quota) == (1, 500)
    assert (found.unused_uses, found.unused_quota) == (2, 1000)


def test_days_without_a_redemption_are_days_too() -> None:
    batch = make_batch()
    for code, days in zip(codes_in_clear(batch), (0, 0, 3), strict=True):
        redeem(code=code, user=make_user(), at=NOON + timedelta(days=days))

    assert list(queries.redeemed_by_day(batch)) == [
        (date(2026, 3, 2), 2),
        (date(2026, 3, 3), 0),
        (date(2026, 3, 4), 0),
        (date(2026, 3, 5), 1),
    ]
    assert list(queries.redeemed_by_day(make_batch())) == []


def test_a_code_is_found_by_itself_in_any_form_and_a_redeemed_one_by_its_last_four() -> None:
    make_batch(count=200)
    batch = make_batch(count=1)
    [code], [stored] = codes_in_clear(batch), batch.codes.all()

    for text in (code, code.lower(), code.replace("-", " "), code.replace("0", "o")):
        assert list(queries.codes_found(text)) == [stored]
    assert not queries.codes_found(stored.hint).exists()
    assert not queries.codes_of(batch, hint=stored.hint).exists()
    redeem(code=code, user=make_user(), at=NOON)
    assert list(queries.codes_found(stored.hint.lower())) == [stored]
    assert list(queries.codes_of(batch, hint=stored.hint)) == [stored]
    for nonsense in ("", "ABC", "ABCDE", code[:-1], "0000-0000-0000-0000-1"):
        with pytest.raises(CodeMistypedError):
            queries.codes_found(nonsense)


def test_the_codes_of_batches_that_were_made_at_the_same_time_are_told_apart() -> None:
    first, second = make_batch(count=2), make_batch(count=2)
    mixed = RedemptionCode.objects.filter(batch=first).last()
    CodeBatch.objects.filter(pk=second.pk).update(first_code_id=mixed.pk)
    second.refresh_from_db()

    assert set(queries.codes_of(first)) == set(first.codes.all())
    assert set(queries.codes_of(second)) == set(second.codes.all())
    assert not queries.codes_of(CodeBatch(pk=0)).exists()


def test_redemptions_are_found_by_person_batch_and_time() -> None:
    root, ann, ben = make_root(), make_user(username="Ann"), make_user(username="ben")
    first, second = make_batch(), make_batch()
    for number, (batch, user) in enumerate([(first, ann), (second, ann), (first, ben)]):
        code = codes_in_clear(batch)[number]
        redeem(code=code, user=user, at=NOON + timedelta(days=number))

    def found(**narrowed) -> list[tuple[int, int]]:
        rows = page_by_time(queries.redemptions(root, **narrowed), field="created_at", cursor=None).items
        return [(row.batch_id, row.user_id) for row in rows]

    assert found() == [(first.pk, ben.pk), (second.pk, ann.pk), (first.pk, ann.pk)]
    assert found(redeemer="ann") == [(second.pk, ann.pk), (first.pk, ann.pk)]
    assert found(redeemer=str(ben.pk)) == [(first.pk, ben.pk)]
    assert found(redeemer="nobody") == []
    assert found(batch_id=second.pk) == [(second.pk, ann.pk)]
    assert found(since=NOON + timedelta(days=1)) == [(first.pk, ben.pk), (second.pk, ann.pk)]
    assert found(until=NOON + timedelta(days=1)) == [(first.pk, ann.pk)]


def test_nobody_below_root_sees_what_root_redeemed() -> None:
    root, admin, code = make_root(), make_admin(), codes_in_clear(make_batch())[0]
    redeem(code=code, user=root, at=NOON)

    assert root.role == Role.ROOT
    assert queries.redemptions(root).count() == 1
    assert not queries.redemptions(admin).exists()


def test_a_redemption_knows_what_took_it_back() -> None:
    root, batch = make_root(), make_batch()
    entry = redeem(code=codes_in_clear(batch)[0], user=make_user(), at=NOON)
    kept = redeem(code=codes_in_clear(batch)[1], user=make_user(), at=NOON)
    reversal = reversals.reverse(actor=root, entry=entry, memo="m", at=NOON)

    by_entry = {row.entry_id: (row.reversal_id, row.reversed_quota) for row in queries.redemptions(root)}

    assert by_entry == {entry.pk: (reversal.pk, 500), kept.pk: (None, None)}


@pytest.fixture
def many() -> CodeBatch:
    """Two batches of many codes, half of which were redeemed by many people on many days."""
    batches = [make_batch(count=MANY, tag="many") for _ in range(2)]
    with connection.cursor() as cursor:
        days = {
            "postgresql": "timestamptz '2026-03-02 12:00+00' + c.id * interval '1 minute'",
            "sqlite": "datetime('2026-03-02 12:00:00', '+' || c.id || ' minutes')",
        }[connection.vendor]
        cursor.execute(f"""
            INSERT INTO redemption_redemption (code_id, number, batch_id, user_id, entry_id, created_at)
            SELECT c.id, 1, c.batch_id, 1 + c.id % 1000, c.id, {days}
            FROM redemption_redemptioncode c WHERE c.id % 2 = 0""")
        cursor.execute("""
            UPDATE redemption_redemptioncode
            SET status = 'used', used_count = 1, redeemed_by_id = 1 + id % 1000, redeemed_at = CURRENT_TIMESTAMP
            WHERE id % 2 = 0""")
        cursor.execute("ANALYZE")
    return batches[0]


def plan_of(rows: QuerySet) -> str:
    return str(rows.explain())


LISTS = {
    "a code": lambda _batch: RedemptionCode.objects.found_by(code_digests(bytes(10))),
    "last four": lambda _batch: queries.codes_found("ABCD").order_by("-pk"),
    "codes of a batch": lambda batch: queries.codes_of(batch).order_by("-pk"),
    "enabled codes of a batch": lambda batch: queries.codes_of(batch, status="enabled").order_by("-pk"),
    "disabled codes of a batch": lambda batch: queries.codes_of(batch, status="disabled").order_by("-pk"),
    "used codes of a batch": lambda batch: queries.codes_of(batch, status="used").order_by("-pk"),
    "codes of a batch by last four": lambda batch: queries.codes_of(batch, hint="ABCD").order_by("-pk"),
    "redemptions": lambda _batch: by_time(Redemption.objects.all()),
    "redemptions by time": lambda _batch: by_time(
        Redemption.objects.filter(created_at__gte=NOON, created_at__lt=NOON + timedelta(days=5))
    ),
    "redemptions of a person": lambda _batch: by_time(Redemption.objects.filter(user=7)),
    "redemptions of a batch": lambda batch: by_time(Redemption.objects.filter(batch=batch)),
    "of a batch by a person": lambda batch: Redemption.objects.filter(user=7, batch=batch),
    "redemptions of a code": lambda _batch: Redemption.objects.filter(code=7).order_by("number"),
}


def by_time(rows: QuerySet) -> QuerySet:
    return rows.order_by("-created_at", "-pk")


@pytest.mark.parametrize("name", LISTS)
def test_the_first_page_of_every_list_is_one_probe_of_an_index(many: CodeBatch, name: str) -> None:
    rows = LISTS[name](many).select_related(None)[:51]

    plan = plan_of(rows)

    if connection.vendor == "sqlite":
        assert "SEARCH" in plan or "USING INDEX" in plan, plan
        if "last four" not in name:  # which a handful share, and it sorts those
            assert "TEMP B-TREE" not in plan, plan
    else:
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan, plan


@pytest.mark.parametrize("status", CodeStatus.values)
def test_the_codes_of_a_batch_in_a_status_have_their_index(many: CodeBatch, status: str) -> None:
    """Without it the last few would be looked for among a million others."""
    rows = queries.codes_of(many, status=status).select_related(None).order_by("-pk")[:51]

    assert f"redemption_code_{status}" in plan_of(rows)


@pytest.mark.parametrize("state", [BatchState.REVOKED, BatchState.CREATING])
def test_batches_by_state_and_by_tag_have_their_indexes(state: BatchState) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
    try:
        for rows in (CodeBatch.objects.all().in_state(state, at=NOON), CodeBatch.objects.filter(tag="t")):
            assert "code_batch_by_" in plan_of(rows.order_by("-pk")[:51])
    finally:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("RESET enable_seqscan")
