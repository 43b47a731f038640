"""The health page, for programs."""

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from oneapi_admin.health.lines import Fact, State
from oneapi_admin.health.report import take_report
from oneapi_admin.lib.api.fields import Time

router = Router(tags=["health"])


class HealthLineOut(Schema):
    """One thing that was looked at."""

    code: str = Field(examples=["journal"])
    state: State
    title: str
    value: str = Field(description="How it is, in words.")
    advice: str = Field(description="What to do; empty when there is nothing to do.")
    facts: dict[str, Fact] = Field(description="The numbers behind it; times in seconds since 1970.")


class RelayProcessOut(Schema):
    """A process that serves calls, as it said last."""

    host: str
    pid: int
    version: str
    started_at: Time
    seen_at: Time
    is_silent: bool = Field(description="It has said nothing for 15 seconds.")
    has_journal: bool
    in_flight: int
    waiting: int = Field(description="Calls that are over and wait for the database.")
    used: int = Field(description="Places of its journal that are taken.")
    capacity: int
    last_commit_at: Time | None


class HealthOut(Schema):
    """How the installation is doing."""

    state: State = Field(description="The worst of all lines.")
    at: Time
    lines: list[HealthLineOut]
    processes: list[RelayProcessOut]


@router.get("", response=HealthOut, operation_id="getHealth")
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def get_health(request: ApiRequest) -> object:  # noqa: ARG001
    """How the installation is doing, line by line: what `/ops/health/` shows. Answers within two seconds."""
    return take_report(at=timezone.now())
