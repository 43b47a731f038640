"""Google: the Gemini API, Vertex AI, and Code Assist, which the Gemini CLI uses.

The text that speaks of plan and billing is the same for a limit of one minute: the quota's id tells.
"""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Until
from billing.upstream.diagnoses.rule import Rule, names, says

_GEMINI = "https://ai.google.dev/gemini-api/docs/troubleshooting"
_CLI = "https://github.com/google-gemini/gemini-cli/blob/main/packages/core/src/utils/googleQuotaErrors.ts"
_rule = partial(Rule, providers=names("gemini", "vertex", "code_assist"), source=_GEMINI)

RULES = (
    _rule(
        name="code_assist.capacity_exhausted",
        means=ErrorClass.OVERLOADED,
        codes=names("model_capacity_exhausted"),
        alone=Certainty.CERTAIN,
        source=_CLI,
        remedy=_("Use another model until there is room on this one again."),
    ),
    _rule(
        name="code_assist.no_credits",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_g1_credits_balance"),
        alone=Certainty.CERTAIN,
        source=_CLI,
    ),
    _rule(
        name="code_assist.validation_required",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        codes=names("validation_required"),
        alone=Certainty.CERTAIN,
        source=_CLI,
        meaning=_("Google wants a person to verify the account."),
        remedy=_("Sign in with a browser as the account's owner and follow Google's steps."),
        lasts=_("until somebody has verified the account"),
    ),
    _rule(
        name="code_assist.quota_exhausted",
        means=ErrorClass.WINDOW_QUOTA,
        codes=names("quota_exhausted"),
        source=_CLI,
    ),
    _rule(
        name="code_assist.quota_exhausted_for_hours",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({429}),
        says=says(r"exhausted your capacity on this model.{0,200}reset after \d+h"),
        alone=Certainty.CERTAIN,
        source=_CLI,
    ),
    _rule(
        name="code_assist.capacity_of_moment",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"exhausted your capacity on this model"),
        alone=Certainty.CERTAIN,
        floor_s=10,
        source=_CLI,
        meaning=_("The account's capacity on this model is used up for a moment; “0s” is a rounded time."),
        remedy=_("Wait ten seconds at least, never try again at once, and give up after a few times."),
    ),
    _rule(
        name="gemini.not_on_this_plan",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({429}),
        says=says(r"\blimit: 0(?![\d.])"),
        source="https://github.com/google-gemini/gemini-cli/issues/22486",
        meaning=_("The account's plan allows this model no calls at all."),
        remedy=_("Turn billing on for the project, or take the model off this channel."),
    ),
    _rule(
        name="gemini.prepayment_depleted",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 429}),
        says=says(r"prepayment credits are depleted"),
        alone=Certainty.CERTAIN,
        source="https://discuss.ai.google.dev/t/183654",
    ),
    _rule(
        name="gemini.daily_quota",
        means=ErrorClass.WINDOW_QUOTA,
        says=says(r"\nquota_id=\S*perday"),
        alone=Certainty.CERTAIN,
        until=Until.NEXT_PACIFIC_DAY,
        is_delay_wrong=True,
        source="https://ai.google.dev/gemini-api/docs/rate-limits",
        meaning=_("The project's calls of today are used up; the short wait that is told does not help."),
        remedy=_("Use another channel until midnight Pacific time, or turn billing on for the project."),
    ),
    _rule(
        name="gemini.minute_quota",
        means=ErrorClass.RATE_LIMITED,
        says=says(r"\nquota_id=\S*perminute"),
        alone=Certainty.CERTAIN,
        source="https://ai.google.dev/gemini-api/docs/rate-limits",
        meaning=_("The project's calls of this minute are used up; it is not about money."),
    ),
    _rule(
        name="vertex.shared_capacity",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({429}),
        says=says(r"^resource exhausted\b.*try again later"),
        source="https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429",
        meaning=_("The capacity that all customers share is used up at this moment."),
        remedy=_("Try again, longer apart each time; provisioned throughput avoids it."),
    ),
    _rule(
        name="google.resource_exhausted",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("resource_exhausted"),
        certainty=Certainty.LIKELY,
    ),
    _rule(
        name="google.bad_key",
        means=ErrorClass.AUTH_INVALID,
        says=says(r"^api key (?:not valid|expired|not found)"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="google.failed_precondition",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({400, 403}),
        codes=names("failed_precondition"),
        alone=None,
        meaning=_("The project needs billing, or calls come from a country that is not served."),
        remedy=_("Turn billing on for the project, or let calls leave from another country."),
    ),
    _rule(
        name="google.unauthenticated",
        means=ErrorClass.AUTH_INVALID,
        statuses=frozenset({401}),
        codes=names("unauthenticated"),
    ),
    _rule(
        name="google.permission_denied",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({403}),
        codes=names("permission_denied"),
        alone=None,
    ),
    _rule(
        name="google.unavailable",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({500, 503, 504}),
        codes=names("unavailable", "internal", "deadline_exceeded"),
    ),
    _rule(
        name="google.invalid_argument",
        means=ErrorClass.BAD_REQUEST,
        statuses=frozenset({400}),
        codes=names("invalid_argument"),
    ),
)
