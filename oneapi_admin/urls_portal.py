"""The pages of a signed-in person."""

from django.urls import path

from accounts import views as accounts
from billing.views import alerts, overview, statement, tokens, usage
from redemption.views import redeem as redemption

app_name = "portal"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/new/", tokens.token_create, name="token-create"),
    path("tokens/<int:pk>/", tokens.token_edit, name="token-edit"),
    path("tokens/<int:pk>/status/", tokens.token_status, name="token-status"),
    path("tokens/<int:pk>/delete/", tokens.token_delete, name="token-delete"),
    path("usage/", usage.usage, name="usage"),
    path("usage/export/", usage.usage_export, name="usage-export"),
    path("usage/<int:pk>/", usage.usage_detail, name="usage-detail"),
    path("statement/", statement.statement, name="statement"),
    path("statement/export/", statement.statement_export, name="statement-export"),
    path("redeem/", redemption.redeem, name="redeem"),
    path("settings/", accounts.settings, name="settings"),
    path("settings/language/", accounts.settings_language, name="settings-language"),
    path("settings/access-tokens/new/", accounts.access_token_create, name="access-token-create"),
    path("settings/access-tokens/<int:pk>/rotate/", accounts.access_token_rotate, name="access-token-rotate"),
    path("settings/access-tokens/<int:pk>/revoke/", accounts.access_token_revoke, name="access-token-revoke"),
    path("settings/alerts/", alerts.alerts, name="alerts"),
    path("settings/alerts/<int:pk>/", alerts.alert, name="alerts-one"),
    path("settings/alerts/first/", alerts.first_rule, name="alerts-first-rule"),
    path("settings/alerts/rules/new/", alerts.rule_create, name="alerts-rule-create"),
    path("settings/alerts/rules/<int:pk>/edit/", alerts.rule_edit, name="alerts-rule-edit"),
    path("settings/alerts/rules/<int:pk>/status/", alerts.rule_status, name="alerts-rule-status"),
    path("settings/alerts/rules/<int:pk>/delete/", alerts.rule_delete, name="alerts-rule-delete"),
    path("settings/alerts/destinations/new/", alerts.destination_create, name="alerts-destination-create"),
    path(
        "settings/alerts/destinations/<int:pk>/test/",
        alerts.destination_test,
        name="alerts-destination-test",
    ),
    path(
        "settings/alerts/destinations/<int:pk>/delete/",
        alerts.destination_delete,
        name="alerts-destination-delete",
    ),
]
