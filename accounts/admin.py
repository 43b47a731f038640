"""django-admin for root: to look things up. Changes are made on the operators' pages, by services."""

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import AccessToken, AuditEvent, SiteSettings, Token, User


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows a table and changes nothing."""

    list_select_related: ClassVar[bool | list[str] | tuple[str, ...]] = True
    show_full_result_count = False

    def get_fields(self, _request: HttpRequest, _obj: Any = None) -> list[Any]:
        """Every column but the excluded ones, also those that no form would have."""
        hidden = self.exclude or ()
        return [field.name for field in self.opts.fields if field.name not in hidden]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("username", "email", "role", "group", "status", "created_at")
    list_filter = ("role", "status")
    search_fields = ("username", "email")
    exclude = ("password",)


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "key_prefix", "status", "expires_at")
    search_fields = ("name", "user__username")
    exclude = ("key_hash",)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "key_prefix", "expires_at", "last_used_at")
    exclude = ("key_hash",)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "action", "actor_name", "subject_name")


admin.site.register(SiteSettings, ReadOnlyAdmin)
