"""The id that every answer carries."""

from datetime import UTC, datetime

from oneapi_admin.lib.request_id import new_request_id


def test_an_id_begins_with_the_time_and_is_never_given_twice() -> None:
    before = datetime.now(tz=UTC)
    ids = {new_request_id() for _ in range(1000)}
    after = datetime.now(tz=UTC)

    stamps = {identifier[:14] for identifier in ids}
    assert len(ids) == 1000
    assert {len(identifier) for identifier in ids} == {34}
    assert f"{before:%Y%m%d%H%M%S}" <= min(stamps) <= max(stamps) <= f"{after:%Y%m%d%H%M%S}"
