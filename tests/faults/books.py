"""What the ledger says of calls."""

from billing.models import UsageRecord
from billing.services.audit import audit_ledger


def broken() -> list[str]:
    """The invariants that do not hold."""
    return [check.code for check in audit_ledger() if check.broken]


def charged() -> dict[str, int]:
    """What each call cost, by its request id."""
    return dict(UsageRecord.objects.values_list("request_id", "quota"))
