"""The audit log can be added to and nothing else."""

from oneapi_admin.lib.append_only import AppendOnly

_AUDIT_LOG = AppendOnly(
    table="accounts_auditevent",
    prefix="audit_event",
    function="accounts_refuse_change",
    message="audit events are append-only",
)
create_triggers = _AUDIT_LOG.protect
drop_triggers = _AUDIT_LOG.unprotect
