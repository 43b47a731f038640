"""django-admin for root: codes, by their last four characters only."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from redemption.models import CodeBatch, Redemption, RedemptionCode


@admin.register(CodeBatch)
class CodeBatchAdmin(ReadOnlyAdmin):
    list_display = ("name", "quota", "count", "created_by", "created_at")
    search_fields = ("name",)


@admin.register(RedemptionCode)
class RedemptionCodeAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "batch", "status", "used_count", "redeemed_by", "redeemed_at")
    list_filter = ("status",)
    exclude = ("digest",)


@admin.register(Redemption)
class RedemptionAdmin(ReadOnlyAdmin):
    list_display = ("code", "number", "batch", "user", "entry", "created_at")
