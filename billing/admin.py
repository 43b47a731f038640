"""django-admin for root: quota, usage, channels and prices, strictly to look at."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from billing import models


@admin.register(models.QuotaAccount)
class QuotaAccountAdmin(ReadOnlyAdmin):
    list_display = ("user", "balance", "held", "used_quota", "request_count")
    search_fields = ("user__username",)


@admin.register(models.LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "account", "kind", "amount", "balance_after", "memo")
    list_filter = ("kind",)
    search_fields = ("account__user__username", "reference")
    list_select_related = ("account__user",)
    exclude = ("idempotency_key",)


@admin.register(models.Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "account", "amount", "created_at", "expires_at")


@admin.register(models.TokenQuota)
class TokenQuotaAdmin(ReadOnlyAdmin):
    list_display = ("token", "quota_limit", "used_quota", "held", "request_count", "last_used_at")


@admin.register(models.UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "created_at", "username", "model", "channel_name", "quota", "status")
    list_filter = ("status",)
    search_fields = ("request_id", "username")
    list_select_related = False


@admin.register(models.UsageDaily)
class UsageDailyAdmin(ReadOnlyAdmin):
    list_display = ("day", "account_id", "token_id", "model", "request_count", "quota")


@admin.register(models.UsageHourly)
class UsageHourlyAdmin(ReadOnlyAdmin):
    list_display = ("hour", "channel_id", "model", "request_count", "quota", "upstream_cost")


@admin.register(models.Channel)
class ChannelAdmin(ReadOnlyAdmin):
    list_display = ("name", "base_url", "key_hint", "status", "priority", "weight")
    exclude = ("encrypted_key",)


@admin.register(models.ChannelTotals)
class ChannelTotalsAdmin(ReadOnlyAdmin):
    list_display = ("channel", "used_quota", "upstream_cost", "request_count")


@admin.register(models.BalanceSnapshot)
class BalanceSnapshotAdmin(ReadOnlyAdmin):
    list_display = ("channel", "kind", "remaining", "currency", "is_unlimited", "created_at")


@admin.register(models.ModelPrice)
class ModelPriceAdmin(ReadOnlyAdmin):
    list_display = ("model", "input_price", "output_price", "request_price", "is_withdrawn", "created_at")
    search_fields = ("model",)


@admin.register(models.GroupPrice)
class GroupPriceAdmin(ReadOnlyAdmin):
    list_display = ("group", "multiplier", "created_at")


@admin.register(models.ExchangeRate)
class ExchangeRateAdmin(ReadOnlyAdmin):
    list_display = ("currency", "per_usd", "valid_from", "created_at")
    list_filter = ("currency",)


@admin.register(models.AuditRun)
class AuditRunAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "finished_at", "kind", "is_clean", "calls_read", "entries_read")


@admin.register(models.AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnlyAdmin):
    list_display = ("id", "parent", "created_at", "last_call_id", "last_entry_id", "calls", "entries")


@admin.register(models.Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "kind", "proposer", "user", "amount", "expires_at")
    list_filter = ("kind",)
    list_select_related = ("proposer", "user")
    exclude = ("idempotency_key", "request")


@admin.register(models.Decision)
class DecisionAdmin(ReadOnlyAdmin):
    list_display = ("proposal", "created_at", "verdict", "actor", "note")
    list_filter = ("verdict",)
    list_select_related = ("proposal", "actor")
