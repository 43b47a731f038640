"""Fixtures for all tests. Data is made with ``tests.factories``, by the product's own services."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.backends.base.operations import BaseDatabaseOperations

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's sync API runs inside an event loop


@pytest.fixture(scope="session", autouse=True)
def _let_tests_empty_the_database() -> Iterator[None]:
    """Flushing needs the append-only triggers away for a moment, and the migrations' rows back afterwards."""
    original = BaseDatabaseOperations.execute_sql_flush
    versions = itertools.count(1_000, 1_000)  # server processes live on and trust that it never goes back

    def flush(self: BaseDatabaseOperations, sql_list: list[str]) -> None:
        from accounts import audit_chain
        from accounts import triggers as audit_log
        from accounts.models import AuditHead, SiteSettings
        from billing import triggers as ledger
        from billing.models import ApprovalSettings, ConfigVersion
        from redemption import triggers as codes

        for append_only in (audit_log, ledger):
            append_only.drop_triggers(self.connection)
        ledger.unprotect_approvals(self.connection)
        codes.unprotect_redemptions(self.connection)
        original(self, sql_list)
        for append_only in (audit_log, ledger):
            append_only.create_triggers(self.connection)
        ledger.protect_approvals(self.connection)
        codes.protect_redemptions(self.connection)
        AuditHead.objects.create(pk=1, seal=audit_chain.seal(0, ""))
        SiteSettings.objects.create(pk=1)
        ApprovalSettings.objects.create(pk=1)
        ConfigVersion.objects.create(pk=1, version=next(versions))

    patch = pytest.MonkeyPatch()
    patch.setattr(BaseDatabaseOperations, "execute_sql_flush", flush)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    switches = ["gpu", "quic", "background-networking", "component-update", "sync"]
    return {
        **browser_type_launch_args,
        "executable_path": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        "chromium_sandbox": False,
        "args": [*(f"--disable-{switch}" for switch in switches), "--no-first-run"],
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's event loop stays open, and other tests need to run their own."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Browser tests need Chromium; without it they are skipped, or fail where everything is required."""
    browser = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if item.get_closest_marker("browser") and not os.path.exists(browser):  # noqa: PTH110
        missing = f"no Chromium at {browser}: install Debian's package chromium or set CHROMIUM"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(missing)
        pytest.skip(missing)
