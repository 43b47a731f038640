"""What the log keeps of requests."""

import pytest
from django.test import Client
from structlog.testing import capture_logs

from redemption.views import redeem
from tests.factories import make_user

pytestmark = pytest.mark.django_db
CODE = "7K3M-9PQR-2ABC-XY4Z-M"


def logged(client: Client, path: str) -> str:
    with capture_logs() as lines:
        client.get(path, {"code": CODE})
    assert lines
    return str(lines)


def test_a_code_that_a_link_brings_is_not_logged_when_the_page_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_fields: object) -> None:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(redeem, "_answer", fail)
    client = Client(raise_request_exception=False)
    client.force_login(make_user())

    lines = logged(client, "/redeem/")

    assert "/redeem/" in lines
    assert CODE not in lines


def test_nor_when_there_is_no_such_page() -> None:
    assert CODE not in logged(Client(), "/reedem/")
