"""The ledger, and what approvals leave behind, can be added to and nothing else."""

from django.db.backends.base.base import BaseDatabaseWrapper

from oneapi_admin.lib.append_only import AppendOnly

_LEDGER = AppendOnly(
    table="billing_ledgerentry",
    prefix="ledger_entry",
    function="billing_refuse_change",
    message="ledger entries are append-only",
)
create_triggers = _LEDGER.protect
drop_triggers = _LEDGER.unprotect

_APPROVALS = [
    AppendOnly(
        table=f"billing_{name.replace('_', '')}",
        prefix=name,
        function=f"billing_refuse_{name}_change",
        message="proposals and what was decided about them are append-only",
    )
    for name in ("proposal", "decision", "approved_entry")
]


def protect_approvals(connection: BaseDatabaseWrapper) -> None:
    for append_only in _APPROVALS:
        append_only.protect(connection)


def unprotect_approvals(connection: BaseDatabaseWrapper) -> None:
    for append_only in _APPROVALS:
        append_only.unprotect(connection)
