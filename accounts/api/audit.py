"""Who did what: the audit log, for operators."""

from typing import Annotated, Any

from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import AuditAction, AuditEvent, Scope, SubjectType
from accounts.queries import AuditFilters, SeenEvent, audit_events
from oneapi_admin.lib.api.fields import Id, Moment, Time
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["audit"])


class ChangeOut(Schema):
    """A field's value before and after; null for none."""

    old: Any
    new: Any


class AuditEventOut(Schema):
    """One act, with names and roles as they were then."""

    id: Id
    action: str = Field(examples=["user.role_changed"])
    actor_id: Id | None = Field(
        description="Null for the command line and for jobs, and, to those below root, for root."
    )
    actor_name: str
    actor_role: str = Field(description="`user`, `admin` or `root`; empty for the command line and jobs.")
    subject_type: str = Field(description="What it was done to.", examples=["user"])
    subject_id: Id
    subject_name: str
    user_id: Id | None = Field(description="Whom it is about: the user, or whose key it is.")
    changes: dict[str, ChangeOut] = Field(description="By field; never a secret.")
    address: str = Field(description="Where the request came from; empty where there was none.")
    request_id: str
    hash: str = Field(
        description="Binds this event and all before it. Kept elsewhere, it proves that they are the same."
    )
    created_at: Time

    @classmethod
    def of(cls, seen: SeenEvent) -> "AuditEventOut":
        names = ("id", "action", "subject_type", "subject_id", "subject_name", "user_id", "changes", "hash")
        return cls(
            actor_id=seen.actor_id,
            actor_name=seen.actor_name,
            actor_role=seen.actor_role,
            address=seen.address,
            request_id=seen.request_id,
            created_at=seen.event.created_at,
            **{name: getattr(seen.event, name) for name in names},
        )


class AuditListQuery(PageQuery):
    actor: Id | None = Field(None, description="The id of who did it.")
    user: Id | None = Field(None, description="The id of whom it is about.")
    action: AuditAction | None = None
    subject_type: SubjectType | None = None
    subject_id: Id | None = None
    since: Annotated[Moment | None, Field(description="From this moment on.")] = None
    until: Annotated[Moment | None, Field(description="Before this moment.")] = None

    def filters(self) -> AuditFilters:
        return AuditFilters(
            actor=self.actor or "",
            user=self.user or "",
            action=self.action or "",
            subject_type=self.subject_type or "",
            subject_id=self.subject_id,
            since=self.since,
            until=self.until,
        )


@router.get("", response=PageOut[AuditEventOut], operation_id="listAuditEvents")
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def list_audit_events(request: ApiRequest, page_query: Query[AuditListQuery]) -> object:
    """Who did what, newest first: everything for root; else nothing about root or other administrators."""
    viewer = request.auth.user

    def out(event: AuditEvent) -> AuditEventOut:
        return AuditEventOut.of(SeenEvent.by(viewer, event))

    return page(audit_events(viewer=viewer, filters=page_query.filters()), page_query, out)
