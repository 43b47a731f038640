"""Tables of quota. Only ``billing.services`` writes the ones that hold money."""

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
from billing.models.bulk import BulkTopUp
from billing.models.channels import BalanceKind, BalanceSnapshot, Channel, ChannelStatus, ChannelTotals
from billing.models.config import ConfigVersion
from billing.models.ledger import EntryKind, Hold, LedgerEntry, QuotaAccount, TokenQuota
from billing.models.prices import GroupPrice, ModelPrice
from billing.models.usage import CallStatus, UsageDaily, UsageHourly, UsageRecord, UsageSource
from billing.models.webhooks import TEST_EVENT, DeliveryStatus, Webhook, WebhookDelivery, WebhookEvent

__all__ = [
    "TEST_EVENT",
    "ApprovalSettings",
    "ApprovedEntry",
    "AuditCheckpoint",
    "AuditKind",
    "AuditRun",
    "BalanceKind",
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
    "EntryKind",
    "GroupPrice",
    "Hold",
    "LedgerEntry",
    "ModelPrice",
    "Proposal",
    "ProposalKind",
    "ProposalStatus",
    "QuotaAccount",
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
