"""Every movement of quota that the caller may see."""

from typing import Annotated, Literal

from ninja import Query, Router
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.api.schemas import EntryOut
from billing.queries.ledger import visible_entries
from oneapi_admin.lib.api.fields import Id, Moment
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["ledger"])
Kind = Literal["top_up", "redemption", "usage", "refund", "adjustment", "grant", "expiry", "import"]


class EntryListQuery(PageQuery):
    user: Id | None = Field(None, description="The id of whose quota was moved; operators only.")
    kind: Kind | None = None
    since: Annotated[Moment | None, Field(description="From this moment on.")] = None
    until: Annotated[Moment | None, Field(description="Before this moment.")] = None


@router.get("", response=PageOut[EntryOut], operation_id="listLedgerEntries")
@requires(Scope.TOPUP, is_read=True)
def list_entries(request: ApiRequest, page_query: Query[EntryListQuery]) -> object:
    """Movements, newest first: everybody's below root for operators, one's own for users."""
    actor = request.auth.user
    entries = visible_entries(actor) if actor.is_operator else visible_entries(actor).filter(account=actor.pk)
    if page_query.user is not None:
        entries = entries.filter(account=page_query.user)
    if page_query.kind is not None:
        entries = entries.filter(kind=page_query.kind)
    if page_query.since is not None:
        entries = entries.filter(created_at__gte=page_query.since)
    if page_query.until is not None:
        entries = entries.filter(created_at__lt=page_query.until)
    return page(entries, page_query, EntryOut.of)
