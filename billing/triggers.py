"""The ledger can be added to and nothing else."""

from oneapi_admin.lib.append_only import AppendOnly

_LEDGER = AppendOnly(
    table="billing_ledgerentry",
    prefix="ledger_entry",
    function="billing_refuse_change",
    message="ledger entries are append-only",
)
create_triggers = _LEDGER.protect
drop_triggers = _LEDGER.unprotect
