"""Who may touch money, and with what arithmetic, read from the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("accounts", "billing", "redemption", "relay", "oneapi_admin")
MONEY_FIELDS = {"balance", "held", "used_quota", "balance_after"}
MONEY_TABLES = {"LedgerEntry", "QuotaAccount", "Hold", "TokenQuota"}
APPEND_ONLY = {"LedgerEntry", "Hold"}
"""Nobody else has a reason to make one, not even unsaved."""
WRITES = {
    "save",
    "create",
    "bulk_create",
    "get_or_create",
    "update_or_create",
    "update",
    "bulk_update",
    "delete",
    "raw",
}
MONEY_SQL = re.compile(
    r"(insert\s+into|update|delete\s+from|truncate)\s+\W?billing_(ledgerentry|quotaaccount|hold|tokenquota)",
    re.IGNORECASE,
)
FLOATS_BESIDE_MONEY = {
    "billing/views/overview.py": "the points of a chart",
    "billing/queries/dashboard.py": "the points of a chart",
    "billing/queries/reconciliations.py": "the points of a chart",
    "billing/services/audit/session.py": "seconds between two looks",
    "billing/forecasting/exhaustion.py": "hours, and shares of what was spent",
    "billing/forecasting/history.py": "amounts become shares of what was spent",
    "billing/forecasting/levels.py": "shares of what was spent",
    "billing/forecasting/pattern.py": "shares of what was spent",
    "billing/upstream/diagnoses/delays.py": "seconds to wait",
    "redemption/exports/cards.py": "where things stand on paper",
    "redemption/services/attempts.py": "seconds to wait",
}
"""Where a float is only ever drawn, or waited for."""


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def names_in(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def money_writes(source: str) -> list[str]:
    """What in a source writes to an account, an entry, a hold or a token's budget."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [
                f"{part.attr} ="
                for target in targets
                for part in ast.walk(target)
                if isinstance(part, ast.Attribute)
                and isinstance(part.ctx, ast.Store)
                and part.attr in MONEY_FIELDS
            ]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            tables = names_in(node.func.value) & MONEY_TABLES
            fields = {keyword.arg for keyword in node.keywords} & MONEY_FIELDS
            found += [f"{name}.{node.func.attr}()" for name in sorted(tables)]
            found += [f"{node.func.attr}({name}=)" for name in sorted(map(str, fields))]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in APPEND_ONLY:
            found.append(f"{node.func.id}()")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MONEY_SQL.search(node.value):
            found.append("SQL")
    return found


def floats(source: str) -> list[int]:
    """The lines of a source that make a float of something, or have one written down."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float))
    ]


def test_only_the_services_of_billing_write_money() -> None:
    allowed = ("billing/services/", "billing/triggers.py")

    found = {
        path: writes
        for path, source in sources(*PRODUCT)
        if not path.startswith(allowed) and (writes := money_writes(source))
    }

    assert found == {}


def test_only_the_ledger_and_the_books_of_calls_write_a_balance() -> None:
    statement = re.compile(r'"balance = |balance_after=')

    writers = {path for path, source in sources(*PRODUCT) if statement.search(source)}
    told = {path for path in writers if path.startswith("billing/api/")}  # answers, not rows

    assert writers - told == {"billing/services/ledger.py", "billing/services/books.py"}


def test_only_one_place_inserts_ledger_entries() -> None:
    inserts = re.compile(r"LedgerEntry\.objects\.\w*create|insert_rows\(\s*\w+,\s*LedgerEntry")

    writers = {path for path, source in sources(*PRODUCT) if inserts.search(source)}

    assert writers == {"billing/services/ledger.py"}


@pytest.mark.parametrize(
    "source",
    [
        "account.balance = 5",
        "account.balance += 5",
        "user.quota_account.held -= 1",
        "a.x, a.balance = 1, 2",
        "QuotaAccount.objects.filter(pk=1).update(balance=F('balance') + 1)",
        "accounts.update(held=0)",
        "LedgerEntry.objects.create(amount=1)",
        "LedgerEntry.objects.bulk_create(entries)",
        "Hold.objects.filter(pk=1).delete()",
        "LedgerEntry(amount=1)",
        "QuotaAccount(balance=1).save()",
        "TokenQuota.objects.update_or_create(token=token)",
        "cursor.execute('UPDATE billing_quotaaccount SET x = 1')",
        "cursor.execute('delete from \"billing_ledgerentry\"')",
    ],
)
def test_a_write_of_money_elsewhere_would_be_noticed(source: str) -> None:
    assert money_writes(source)


@pytest.mark.parametrize(
    "source",
    [
        "balance = account.balance",
        "LedgerEntry.objects.filter(pk=1)",
        "print(account.balance == 5)",
        "sums[account.balance] += 1",
        "QuotaAccount(user=user)",
        "Channel.objects.filter(pk=1).update(status=status)",
        "'SELECT balance FROM billing_quotaaccount'",
    ],
)
def test_reading_money_is_no_write(source: str) -> None:
    assert money_writes(source) == []


def test_money_is_never_a_float() -> None:
    found = {path: lines for path, source in sources("billing", "redemption") if (lines := floats(source))}

    assert set(found) <= set(FLOATS_BESIDE_MONEY)


@pytest.mark.parametrize("source", ["float(quota)", "quota * 0.5", "price = 1e-6"])
def test_a_float_would_be_noticed(source: str) -> None:
    assert floats(source) == [1]
