"""No page and no operation moves quota for an operator past the approval of large movements."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOVES = {"top_up", "adjust", "refund", "reverse", "reverse_all", "top_up_many", "undo"}
SERVICES = {"accounts", "refunds", "reversals", "bulk", "bulk_undo"}


def direct_moves(source: str) -> Iterator[str]:
    """The services that a source imports, or calls by their module, instead of handing an act to be done."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    modules = {
        alias.asname or alias.name
        for node in imports
        for alias in node.names
        if node.module == "billing.services" and alias.name in SERVICES
    }
    for node in imports:
        if node.module in {f"billing.services.{name}" for name in SERVICES}:
            yield from (alias.name for alias in node.names if alias.name in MOVES)
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=attr) if module in modules and attr in MOVES:
                yield attr


def test_what_operators_move_is_handed_to_the_approvals() -> None:
    files = [
        path
        for folder in ("billing/views", "billing/api", "redemption", "oneapi_admin", "accounts")
        for path in (ROOT / folder).rglob("*.py")
    ]

    found = {str(path): moves for path in files if (moves := list(direct_moves(path.read_text("utf-8"))))}

    assert len(files) > 60
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "from billing.services.refunds import refund",
        "from billing.services import accounts\naccounts.top_up()",
        "from billing.services import accounts as services\nservices.adjust()",
    ],
)
def test_a_way_past_them_would_be_noticed(source: str) -> None:
    assert list(direct_moves(source))
