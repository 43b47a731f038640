"""What a status alone lets one guess. It is wrong for most providers somewhere, so it is never certain."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Responsible
from billing.upstream.diagnoses.rule import Rule

_rule = partial(Rule, source="https://www.rfc-editor.org/rfc/rfc9110", certainty=Certainty.LIKELY)
_WRONG = frozenset(range(400, 500)) - {401, 402, 403, 404, 407, 408, 409, 413, 425, 429, 498}

RULES = (
    _rule(name="status.unauthorized", means=ErrorClass.AUTH_INVALID, statuses=frozenset({401})),
    _rule(name="status.payment_required", means=ErrorClass.CREDIT_EXHAUSTED, statuses=frozenset({402})),
    _rule(
        name="status.forbidden",
        means=ErrorClass.UNKNOWN,
        statuses=frozenset({403}),
        certainty=Certainty.UNKNOWN,
        responsible=Responsible.OPERATOR,
        meaning=_(
            "The provider refuses the account or the request: money, a limit, the plan, the region and the"
            " content all come with this status."
        ),
    ),
    _rule(
        name="status.not_found",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({404}),
        meaning=_("The provider has no such model or address for this account."),
        remedy=_("Check the base URL, and the model's name and mapping."),
    ),
    _rule(
        name="status.too_large",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({413}),
    ),
    _rule(name="status.too_many_requests", means=ErrorClass.RATE_LIMITED, statuses=frozenset({425, 429})),
    _rule(
        name="status.failed",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({408, 409, 498, *range(500, 600)}),
    ),
    _rule(name="status.bad_request", means=ErrorClass.BAD_REQUEST, statuses=_WRONG),
    _rule(
        name="status.redirect",
        means=ErrorClass.UNKNOWN,
        statuses=frozenset(range(300, 400)),
        certainty=Certainty.UNKNOWN,
        responsible=Responsible.OPERATOR,
        meaning=_("The address redirects elsewhere; keys are not sent after it."),
        remedy=_("Check the channel's base URL."),
    ),
)
