"""What an adapter is: the knowledge of how one provider tells what is left."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import refusal
from billing.upstream.balances.reading import Account, Reading

TOO_LARGE = Decimal(10) ** 9
"""No account holds as much; an amount like this was counted in another unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialField:
    """A credential that an operator enters beside the channel's key."""

    name: str
    label: str | Promise
    is_secret: bool = True
    is_required: bool = True
    hint: str | Promise = ""


class Adapter(ABC):
    """One way of asking. It holds nothing, so that one of each is enough."""

    code: str
    """Stands in the database: it never changes."""
    title: str | Promise
    source: str
    """The page that documents the format."""
    note: str | Promise = ""
    """What an operator should know of what it reads."""
    hosts: Sequence[str] = ()
    """The hosts of channels that it fits; one that begins with a point stands for all below it."""
    fields: Sequence[CredentialField] = ()
    admin_hosts: Sequence[str] = ()
    """Where the credentials of the fields go; empty when it is the channel's own host."""

    @property
    def needs_admin(self) -> bool:
        """Whether it can read nothing with the channel's key alone."""
        return any(field.is_required for field in self.fields)

    def secrets(self, account: Account) -> list[str]:
        """What must not be repeated in an error."""
        secret = [account.admin.get(field.name, "") for field in self.fields if field.is_secret]
        return [account.key, *secret]

    def check_credentials(self, account: Account) -> None:
        """
        :raises BalanceRefusedError: if one that must be there is not entered
        """
        for field in self.fields:
            if field.is_required and not account.admin.get(field.name):
                raise refusal(_("Enter this first: %(field)s.") % {"field": field.label})

    def read(self, account: Account, ask: Ask) -> list[Reading]:
        """Ask the provider.

        :returns: one reading for each kind and currency that it tells about
        :raises BalanceUnavailableError: if it could not be asked now
        :raises BalanceRefusedError: if it refuses, is not understood, or a credential is not entered
        """
        self.check_credentials(account)
        readings = self._read(account, ask)
        if any(abs(amount) >= TOO_LARGE for reading in readings for amount in reading.amounts):
            raise refusal(_("The amount is too large to be true."))
        return readings

    @abstractmethod
    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        """Ask, with all required credentials at hand."""
