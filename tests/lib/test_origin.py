import pytest

from oneapi_admin.lib import origin
from oneapi_admin.lib.origin import Origin


def test_what_is_done_inside_comes_from_the_request_and_what_is_done_afterwards_does_not() -> None:
    with origin.coming_from(request_id="outer", address="192.0.2.1"):
        with origin.coming_from(request_id="inner", address=None):
            assert origin.current() == Origin("inner", "")
        assert origin.current() == Origin("outer", "192.0.2.1")

    assert origin.current() == Origin()


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.1", "192.0.2.1"), ("2001:DB8::0:1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1")]
    + [(text, None) for text in ("unknown", "", None, "192.0.2.1:80")],
)
def test_an_address_is_written_in_one_way_and_anything_else_is_none(text: str, address: str | None) -> None:
    assert origin.plain_address(text) == address
