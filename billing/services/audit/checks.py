"""What an audit says of each invariant."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_MAX_IDS = 20

TITLES: dict[str, str | Promise] = {
    "I1": _("Every balance is the sum of its ledger entries"),
    "I2": _("Each entry's balance follows from the one before"),
    "I3": _("What accounts and tokens hold is the sum of their open holds"),
    "I4": _("Every usage entry is the sum of its calls"),
    "I5": _("A code is used as often as entries redeemed it, with its amount"),
    "I6": _("The daily and hourly sums equal the calls"),
    "I7": _("The counters of accounts, tokens and channels equal the calls"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One invariant: how many rows it was checked on and which broke it."""

    code: str
    checked: int
    broken: int
    broken_ids: tuple[str, ...]
    """The first 20 offenders."""

    @property
    def title(self) -> str:
        return str(TITLES[self.code])


@dataclass(slots=True)
class _Finding:
    checked: int = 0
    broken: int = 0
    broken_ids: list[str] = field(default_factory=list)


class Findings:
    """Collects the offenders against each invariant, of which any number may come at any time."""

    def __init__(self) -> None:
        self._findings = {code: _Finding() for code in TITLES}

    def checked(self, code: str, count: int) -> None:
        self._findings[code].checked += count

    def broken(self, code: str, ids: Iterable[str]) -> None:
        finding = self._findings[code]
        for offender in ids:
            finding.broken += 1
            if len(finding.broken_ids) < _MAX_IDS:
                finding.broken_ids.append(offender)

    def checks(self) -> list[Check]:
        return [
            Check(code=code, checked=found.checked, broken=found.broken, broken_ids=tuple(found.broken_ids))
            for code, found in self._findings.items()
        ]
