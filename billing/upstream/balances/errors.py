"""The two ways in which a provider can fail to tell what is left."""

from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.errors import DomainError


class BalanceUnavailableError(DomainError):
    """The provider could not be asked now. What it said last stays, and grows old.

    ``retry_after_s`` is the wait that the provider asked for, where it did.
    """

    code = "balance_unavailable"
    http_status = 502
    is_retryable = True
    message = _("%(reason)s")


class BalanceRefusedError(DomainError):
    """The provider refuses, or its answer is not what its documentation says: asking again does not help.

    ``context["status"]`` is the HTTP status where there was one.
    """

    code = "balance_refused"
    http_status = 502
    message = _("%(reason)s")
    remedy = _("Check the key, the base URL and where the balance is read from.")

    @property
    def status(self) -> int | None:
        """The HTTP status of the answer; None if it was never asked."""
        status: int | None = self.context.get("status")
        return status
