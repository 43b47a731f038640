"""What was there before batches had terms and redemptions had rows."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from billing.models import EntryKind
from billing.services import ledger
from billing.services.audit import audit_ledger
from redemption import queries
from redemption.models import Redemption, RedemptionCode
from tests.factories import NOON, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)
BEFORE, AFTER = [("redemption", "0001_initial")], [("redemption", "0002_batches_of_codes")]


@pytest.fixture
def _at_the_end_all_of_them():
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def empty_tables_of_before() -> None:
    """There is no way back to the tables of before, so they are made anew."""
    with connection.cursor() as cursor, connection.schema_editor() as editor:
        names = [
            name for name in connection.introspection.table_names(cursor) if name.startswith("redemption_")
        ]
        for name in sorted(names, key=lambda name: "code" in name or "attack" in name):
            editor.execute(f"DROP TABLE {name}" + (" CASCADE" if connection.vendor == "postgresql" else ""))
        if connection.vendor == "postgresql":
            editor.execute("DROP FUNCTION IF EXISTS redemption_refuse_change() CASCADE")
        editor.execute("DELETE FROM django_migrations WHERE app = 'redemption'")
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)


@pytest.mark.usefixtures("_at_the_end_all_of_them")
def test_codes_and_redemptions_of_before_are_carried_over() -> None:
    root, user = make_root(), make_user()
    empty_tables_of_before()
    old = MigrationExecutor(connection).loader.project_state(BEFORE).apps
    batch = old.get_model("redemption", "CodeBatch").objects.create(
        name="old", quota=500, count=3, created_by_id=root.pk, created_at=NOON
    )
    codes = [
        old.get_model("redemption", "RedemptionCode").objects.create(
            batch=batch,
            digest=f"{number:064x}",
            hint="ABCD",
            quota=500,
            status=status,
            redeemed_by_id=user.pk if status == "used" else None,
            redeemed_at=NOON if status == "used" else None,
        )
        for number, status in enumerate(["used", "enabled", "disabled"])
    ]
    posting = ledger.Posting(
        account_id=user.pk, kind=EntryKind.REDEMPTION, amount=500, reference=f"code:{codes[0].pk}"
    )
    with ledger.transaction.atomic():
        [entry] = ledger.post(postings=[posting], at=NOON)

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    [redemption] = Redemption.objects.all()
    assert (redemption.code_id, redemption.user_id, redemption.entry_id) == (codes[0].pk, user.pk, entry.pk)
    assert (redemption.number, redemption.created_at) == (1, NOON)
    statuses = RedemptionCode.objects.order_by("pk").values_list("status", "used_count")
    assert list(statuses) == [("used", 1), ("disabled", 0), ("disabled", 0)]
    assert bytes(RedemptionCode.objects.get(pk=codes[1].pk).digest) == (1).to_bytes(32, "big")
    found = queries.batches().get()
    assert (found.state(NOON), found.redeemed_count, found.used_count, found.disabled_count) == (
        "revoked",
        1,
        1,
        2,
    )
    assert found.unused_quota == 0
    assert not [check.code for check in audit_ledger() if check.broken]
