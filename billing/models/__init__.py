"""Tables of quota. Only ``billing.services`` writes the ones that hold money."""

from billing.models.alerts import (
    Alert,
    AlertAudience,
    AlertCursor,
    AlertDelivery,
    AlertDestination,
    AlertEvent,
    AlertKind,
    AlertRule,
    AlertScope,
    AlertSeverity,
    AlertSubject,
    QuotaLevel,
)
from billing.models.approvals import (
    ApprovalSettings,
    ApprovedEntry,
    Decision,
    Proposal,
    ProposalKind,
    ProposalStatus,
    Verdict,
)
from billing.models.audit import (
    AuditCheckpoint,
    AuditKind,
    AuditRun,
    CheckpointAccount,
    CheckpointDay,
    CheckpointHour,
)
from billing.models.balances import BalanceKind, BalancePoll, BalanceSnapshot
from billing.models.bulk import BulkTopUp
from billing.models.channels import Channel, ChannelStatus, ChannelTotals, DisabledReason
from billing.models.config import ConfigVersion
from billing.models.ledger import EntryKind, Hold, LedgerEntry, QuotaAccount, TokenQuota
from billing.models.prices import GroupPrice, ModelPrice
from billing.models.rates import ExchangeRate
from billing.models.reconciliations import Reconciliation, ReconciliationStatus
from billing.models.usage import CallStatus, UsageDaily, UsageHourly, UsageRecord, UsageSource
from billing.models.webhooks import TEST_EVENT, DeliveryStatus, Webhook, WebhookDelivery, WebhookEvent

__all__ = [
    "TEST_EVENT",
    "Alert",
    "AlertAudience",
    "AlertCursor",
    "AlertDelivery",
    "AlertDestination",
    "AlertEvent",
    "AlertKind",
    "AlertRule",
    "AlertScope",
    "AlertSeverity",
    "AlertSubject",
    "ApprovalSettings",
    "ApprovedEntry",
    "AuditCheckpoint",
    "AuditKind",
    "AuditRun",
    "BalanceKind",
    "BalancePoll",
    "BalanceSnapshot",
    "BulkTopUp",
    "CallStatus",
    "Channel",
    "ChannelStatus",
    "ChannelTotals",
    "CheckpointAccount",
    "CheckpointDay",
    "CheckpointHour",
    "ConfigVersion",
    "Decision",
    "DeliveryStatus",
    "DisabledReason",
    "EntryKind",
    "ExchangeRate",
    "GroupPrice",
    "Hold",
    "LedgerEntry",
    "ModelPrice",
    "Proposal",
    "ProposalKind",
    "ProposalStatus",
    "QuotaAccount",
    "QuotaLevel",
    "Reconciliation",
    "ReconciliationStatus",
    "TokenQuota",
    "UsageDaily",
    "UsageHourly",
    "UsageRecord",
    "UsageSource",
    "Verdict",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
]
