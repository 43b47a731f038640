"""The management API, ``/api/v1``: everything that the apps offer, put together."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

from accounts.api.access_tokens import router as access_tokens
from accounts.api.access_tokens import user_router as access_tokens_of_users
from accounts.api.audit import router as audit
from accounts.api.auth import AUTH
from billing.api.alert_destinations import router as alert_destinations
from billing.api.alert_rules import router as alert_rules
from billing.api.alerts import deliveries_router as alert_deliveries
from billing.api.alerts import router as alerts
from billing.api.approvals import router as approvals
from billing.api.approvals import settings_router as approval_settings
from billing.api.balances import router as balances
from billing.api.bulk import router as bulk
from billing.api.bulk import runs_router as bulk_top_ups
from billing.api.channels import router as channels
from billing.api.diagnoses import router as diagnoses
from billing.api.exchange_rates import router as exchange_rates
from billing.api.ledger import router as ledger
from billing.api.me import router as me
from billing.api.reconciliations import router as reconciliations
from billing.api.tokens import router as tokens
from billing.api.usage import router as usage
from billing.api.users import router as users
from billing.api.webhooks import router as webhooks
from oneapi_admin.health.api import router as health
from oneapi_admin.lib.api.openapi import ManagementApi
from redemption.api.batches import router as code_batches
from redemption.api.codes import router as codes
from redemption.api.redemptions import router as redemptions

DESCRIPTION = """\
Everything that an operator or a user can do in the browser, for programs.

Send `Authorization: Bearer oa-…` with an access token from the Settings page. Quota is counted in integer
units, 500,000 to the US dollar. Lists are paged by key: pass `next_cursor` as `cursor` to go on. Errors are
`application/problem+json`; decide by their `code`. A `POST` with an `Idempotency-Key` can be sent again
safely: it gets the first answer again and has no second effect.
"""


class DocsPage(DocsBase):
    """The document for people; with our own copy of Swagger UI, as nothing is loaded from elsewhere."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        return render(request, "api_docs.html", {"document_url": self.get_openapi_url(api, kwargs)})


api = ManagementApi(
    title="oneapi-admin",
    version="1",
    description=DESCRIPTION,
    auth=AUTH,
    docs=DocsPage(),
    urls_namespace="api",
)
api.add_router("/me", me)
api.add_router("/users", users)
api.add_router("/users", access_tokens_of_users)
api.add_router("/access-tokens", access_tokens)
api.add_router("/bulk", bulk)
api.add_router("/bulk-top-ups", bulk_top_ups)
api.add_router("/ledger-entries", ledger)
api.add_router("/approvals", approvals)
api.add_router("/approval-settings", approval_settings)
api.add_router("/tokens", tokens)
api.add_router("/channels", channels)
api.add_router("/channels", balances)
api.add_router("/reconciliations", reconciliations)
api.add_router("/exchange-rates", exchange_rates)
api.add_router("/diagnoses", diagnoses)
api.add_router("/redemptions", redemptions)
api.add_router("/code-batches", code_batches)
api.add_router("/codes", codes)
api.add_router("/usage", usage)
api.add_router("/webhooks", webhooks)
api.add_router("/alerts", alerts)
api.add_router("/alert-rules", alert_rules)
api.add_router("/alert-destinations", alert_destinations)
api.add_router("/alert-deliveries", alert_deliveries)
api.add_router("/audit-events", audit)
api.add_router("/health", health)
