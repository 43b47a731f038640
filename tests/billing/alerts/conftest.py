from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chat_services import ChatServices, chat_services


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServices]:
    """Whatever is sent to a chat service arrives here."""
    with chat_services(tmp_path) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.certificate))
        yield running
