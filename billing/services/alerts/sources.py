"""Values that other apps know: billing imports none of them, so they say here who has them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from billing.models import AlertKind, AlertRule
from billing.services.alerts.readings import Look, ReadChannels, Reading

Source = Callable[[datetime], Iterable[Reading]]

_SOURCES: dict[AlertKind, Source] = {}


def register(kind: AlertKind, source: Source) -> None:
    """Say who knows the values of a kind; an app does so when it is ready."""
    _SOURCES[kind] = source


def of(kind: AlertKind) -> ReadChannels:
    """What reads the values of a kind, when somebody has registered for it."""

    def read(look: Look, _rules: Sequence[AlertRule]) -> Iterable[Reading]:
        return _SOURCES[kind](look.at) if kind in _SOURCES else ()

    return read
