"""The operators' pages, under ``/ops/``."""

from django.urls import path

from accounts import ops_views as ops_audit
from billing.views import (
    ops_channels,
    ops_corrections,
    ops_dashboard,
    ops_ledger,
    ops_prices,
    ops_users,
    ops_webhooks,
)
from oneapi_admin.health import views as ops_health
from redemption import ops_views as ops_codes

app_name = "ops"
urlpatterns = [
    path("", ops_dashboard.dashboard, name="dashboard"),
    path("users/", ops_users.users, name="users"),
    path("users/new/", ops_users.user_create, name="user-create"),
    path("users/sign-up/", ops_users.user_signup, name="user-signup"),
    path("users/<int:pk>/", ops_users.user_detail, name="user-detail"),
    path("users/<int:pk>/top-up/", ops_users.user_top_up, name="user-top-up"),
    path("users/<int:pk>/adjust/", ops_corrections.user_adjust, name="user-adjust"),
    path("users/<int:pk>/edit/", ops_users.user_edit, name="user-edit"),
    path("users/<int:pk>/password/", ops_users.user_password, name="user-password"),
    path("channels/", ops_channels.channels, name="channels"),
    path("channels/new/", ops_channels.channel_create, name="channel-create"),
    path("channels/models/", ops_channels.channel_models, name="channel-models"),
    path("channels/<int:pk>/edit/", ops_channels.channel_edit, name="channel-edit"),
    path("channels/<int:pk>/test/", ops_channels.channel_test, name="channel-test"),
    path("channels/<int:pk>/status/", ops_channels.channel_status, name="channel-status"),
    path("channels/<int:pk>/delete/", ops_channels.channel_delete, name="channel-delete"),
    path(
        "channels/<int:pk>/refresh-balance/",
        ops_channels.channel_refresh_balance,
        name="channel-refresh-balance",
    ),
    path("prices/", ops_prices.prices, name="prices"),
    path("prices/set/", ops_prices.price_set, name="price-set"),
    path("prices/withdraw/", ops_prices.price_withdraw, name="price-withdraw"),
    path("prices/history/", ops_prices.price_history, name="price-history"),
    path("prices/groups/", ops_prices.group_set, name="group-set"),
    path("codes/", ops_codes.codes, name="codes"),
    path("codes/new/", ops_codes.code_create, name="code-create"),
    path("codes/<int:pk>/", ops_codes.code_detail, name="code-detail"),
    path("codes/<int:batch_pk>/<int:pk>/status/", ops_codes.code_status, name="code-status"),
    path("ledger/", ops_ledger.ledger, name="ledger"),
    path("ledger/export/", ops_ledger.ledger_export, name="ledger-export"),
    path("ledger/<int:pk>/", ops_corrections.entry_detail, name="ledger-entry"),
    path("ledger/<int:pk>/reverse/", ops_corrections.entry_reverse, name="ledger-reverse"),
    path("usage/<int:pk>/refund/", ops_corrections.call_refund, name="usage-refund"),
    path("audit/", ops_audit.audit_log, name="audit"),
    path("health/", ops_health.health, name="health"),
    path("health/summary/", ops_health.health_summary, name="health-summary"),
    path("webhooks/", ops_webhooks.webhooks, name="webhooks"),
    path("webhooks/new/", ops_webhooks.webhook_create, name="webhook-create"),
    path("webhooks/<int:pk>/", ops_webhooks.webhook_detail, name="webhook-detail"),
    path("webhooks/<int:pk>/edit/", ops_webhooks.webhook_edit, name="webhook-edit"),
    path("webhooks/<int:pk>/status/", ops_webhooks.webhook_status, name="webhook-status"),
    path("webhooks/<int:pk>/delete/", ops_webhooks.webhook_delete, name="webhook-delete"),
    path("webhooks/<int:pk>/rotate/", ops_webhooks.webhook_rotate, name="webhook-rotate"),
    path("webhooks/<int:pk>/test/", ops_webhooks.webhook_test, name="webhook-test"),
    path(
        "webhooks/<int:pk>/deliveries/<int:delivery_pk>/",
        ops_webhooks.webhook_delivery,
        name="webhook-delivery",
    ),
    path(
        "webhooks/<int:pk>/deliveries/<int:delivery_pk>/redeliver/",
        ops_webhooks.webhook_redeliver,
        name="webhook-redeliver",
    ),
]
