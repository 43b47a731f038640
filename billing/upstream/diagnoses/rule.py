"""What a line of the tables says: an error that looks so, means that."""

import re
from dataclasses import dataclass

from django.utils.functional import Promise

from billing.upstream.diagnoses.bodies import ErrorBody
from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Responsible, Until


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All that is given has to fit; of several rules that do, the first one counts."""

    name: str
    means: ErrorClass
    source: str
    """The page, or the report, that it was taken from."""
    providers: frozenset[str] = frozenset()
    """Whose errors it is about; empty for everybody's."""
    alone: Certainty | None = Certainty.LIKELY
    """How sure it is where nobody knows whose error it is; None where it says nothing then."""
    certainty: Certainty = Certainty.CERTAIN
    """How sure it is of an error of these providers."""
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    """One of them is a code, type, status word or reason of the body."""
    beginnings: tuple[str, ...] = ()
    """Or a code begins so."""
    says: re.Pattern[str] | None = None
    """Found in the message, in small letters. The message may quote what a caller wrote: what is no affair of
    theirs is told by its beginning, or with a status that wrong requests do not have."""
    floor_s: int = 1
    """No shorter wait is believed."""
    wait_s: int | None = None
    """Where the provider names no wait; the class's own by default."""
    until: Until | None = None
    """When it is over, where the provider names no wait."""
    is_delay_wrong: bool = False
    """Whether the wait that the provider names is that of something else."""
    responsible: Responsible | None = None
    """Other than the class says."""
    meaning: str | Promise = ""
    remedy: str | Promise = ""
    lasts: str | Promise = ""

    @property
    def is_of_words(self) -> bool:
        """Whether it goes by nothing but the message, and perhaps the status."""
        return self.says is not None and not self.codes and not self.beginnings

    def fits(self, *, status: int, body: ErrorBody) -> bool:
        """Whether an error looks so; whose it is has been looked at before."""
        if self.statuses and status not in self.statuses:
            return False
        if (self.codes or self.beginnings) and not self._has_code(body):
            return False
        return self.says is None or self.says.search(body.said) is not None

    def sureness(
        self, known: frozenset[str], *, is_author_known: bool, is_sender_known: bool
    ) -> Certainty | None:
        """How sure it is, None if it is not about them.

        :param known: who sent and who wrote the error
        :param is_author_known: whether one of them is no relay
        :param is_sender_known: whether who sent it is known and no relay
        """
        if not self.providers or not self.providers.isdisjoint(known):
            return self.certainty
        if is_sender_known and self.is_of_words:
            return None
        if is_author_known and self.alone != Certainty.CERTAIN:
            return None
        return self.alone

    def _has_code(self, body: ErrorBody) -> bool:
        if not self.codes.isdisjoint(body.tags):
            return True
        return bool(self.beginnings) and any(tag.startswith(self.beginnings) for tag in body.tags)


def names(*words: str) -> frozenset[str]:
    """A set of codes or providers, for tables that stay readable."""
    return frozenset(words)


def says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
