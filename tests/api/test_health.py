"""The health of the installation, read by programs."""

from collections.abc import Callable
from datetime import datetime

import pytest

from oneapi_admin import __version__
from tests.api.conftest import Program
from tests.factories import make_admin
from tests.ops.conftest import store  # noqa: F401  in which nobody has told anything yet
from tests.ops.health import tell_all_is_well, tell_relay

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def test_programs_read_what_the_page_shows(program: Callable[..., Program]) -> None:
    tell_all_is_well()
    tell_relay(2, waiting=7, waited=40)

    health = program(make_admin(), "read").get("/health").body

    by_code = {line["code"]: line for line in health["lines"]}
    assert health["state"] == by_code["journal"]["state"] == "warning"
    assert by_code["journal"]["value"].startswith("7 calls, for 4")
    assert by_code["journal"]["facts"]["waiting"] == 7
    assert by_code["version"]["facts"]["version"] == __version__
    assert {line["state"] for code, line in by_code.items() if code != "journal"} == {"ok"}
    first, second = health["processes"]
    assert (first["pid"], first["waiting"], second["pid"], second["waiting"]) == (1, 0, 2, 7)
    assert first["is_silent"] is False
    assert datetime.fromisoformat(first["seen_at"]).tzinfo is not None
