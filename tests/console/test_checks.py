"""What an operator can set wrong is said when the server starts."""

import pytest

from oneapi_admin import checks


def ids(check) -> list[str]:
    return [message.id for message in check()]


def test_a_secret_key_that_could_be_guessed_is_refused(settings) -> None:
    assert ids(checks.check_secrets) == []
    settings.SECRET_KEY = "x" * 31
    assert ids(checks.check_secrets) == ["oneapi_admin.E001"]


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan")])
def test_codes_that_nobody_could_ever_read_are_refused(settings, hours: float) -> None:
    assert ids(checks.check_code_export) == []
    settings.CODE_EXPORT_HOURS = hours
    assert ids(checks.check_code_export) == ["oneapi_admin.E002"]


def test_debug_is_warned_of(settings) -> None:
    assert ids(checks.check_debug) == []
    settings.DEBUG = True
    assert ids(checks.check_debug) == ["oneapi_admin.W001"]
