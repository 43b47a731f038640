"""Whatever happens in whatever order over HTTP: the product does what the model says."""

from collections.abc import Iterator

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.effort import effort
from tests.stateful.gated_upstream import GatedUpstream, gated_upstream
from tests.stateful.over_http.base import Site
from tests.stateful.over_http.machine import HttpMachine
from tests.support.processes import WebProcess, web_processes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    limits = ("API_REQUESTS_PER_TOKEN", "API_REQUESTS_PER_ADDRESS")
    failures = ("REDEEM_FAILURES_PER_USER", "REDEEM_FAILURES_PER_ADDRESS", "REDEEM_FAILURES_IN_ALL")
    with web_processes(1, **dict.fromkeys((*limits, *failures), "1000000000")) as [server]:
        yield server


@pytest.fixture
def upstream() -> Iterator[GatedUpstream]:
    with gated_upstream() as upstream:
        yield upstream


def test_the_product_does_what_the_model_says_over_http(transactional_db, web, sandbox, upstream) -> None:
    site = Site(web, sandbox, upstream)

    run_state_machine_as_test(lambda: HttpMachine(site), settings=effort(examples=6))

    print(f"{site.steps} steps")
    assert "relay.failed" not in web.log.read_text()
