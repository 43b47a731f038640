"""Jobs about the installation itself."""

from typing import Any

from celery import shared_task

from oneapi_admin.lib import vitals


@shared_task(name="oneapi_admin.note_worker", bind=True)  # type: ignore[untyped-decorator]
def note_worker(self: Any) -> None:
    """Show the health page that what beat asks for is done, and by whom."""
    vitals.report("worker", self.request.hostname or "")
