"""The clouds' own services: Alibaba DashScope, Volcengine Ark, Azure OpenAI."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass
from billing.upstream.diagnoses.rule import Rule, names, says

_dashscope = partial(
    Rule,
    providers=names("dashscope"),
    alone=Certainty.CERTAIN,
    source="https://www.alibabacloud.com/help/en/model-studio/error-code",
)
_volcengine = partial(
    Rule,
    providers=names("volcengine"),
    alone=Certainty.CERTAIN,
    source="https://www.volcengine.com/docs/82379/1299023",
)
_azure = partial(
    Rule,
    providers=names("azure"),
    source="https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota",
)
_throttle_meaning = _("Too many tokens within a minute; it is not about money, whatever the code says.")

DASHSCOPE = (
    _dashscope(name="dashscope.arrears", means=ErrorClass.CREDIT_EXHAUSTED, codes=names("arrearage")),
    _dashscope(
        name="dashscope.free_tier_only",
        means=ErrorClass.PLAN_DENIED,
        codes=names("allocationquota.freetieronly"),
        meaning=_("The free allowance of this model is used up, and the account is set to use nothing else."),
        remedy=_("Switch off “free tier only” in the console, or take the model off this channel."),
    ),
    _dashscope(
        name="dashscope.token_quota",
        means=ErrorClass.RATE_LIMITED,
        codes=names("throttling.allocationquota"),
        wait_s=60,
        meaning=_throttle_meaning,
    ),
    _dashscope(
        name="dashscope.insufficient_quota",
        means=ErrorClass.RATE_LIMITED,
        codes=names("insufficient_quota"),
        alone=None,
        wait_s=60,
        meaning=_throttle_meaning,
    ),
    _dashscope(
        name="dashscope.allocated_quota",
        means=ErrorClass.RATE_LIMITED,
        says=says(r"^allocated quota exceeded"),
        wait_s=60,
        meaning=_throttle_meaning,
    ),
    _dashscope(
        name="dashscope.rate",
        means=ErrorClass.RATE_LIMITED,
        codes=names("throttling", "limitrequests"),
        beginnings=("throttling.",),
    ),
    _dashscope(
        name="dashscope.unpaid",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("prepaidbilloverdue", "postpaidbilloverdue", "commoditynotpurchased"),
    ),
    _dashscope(name="dashscope.budget", means=ErrorClass.SPEND_LIMIT, codes=names("budgetlimitexceeded")),
    _dashscope(
        name="dashscope.key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("invalidapikey"),
        remedy=_("Enter a new key, or check the base URL: a key is good in one region only."),
    ),
    _dashscope(
        name="dashscope.denied",
        means=ErrorClass.PLAN_DENIED,
        codes=names("accessdenied.unpurchased", "model.accessdenied"),
    ),
    _dashscope(name="dashscope.unavailable", means=ErrorClass.OVERLOADED, codes=names("modelunavailable")),
)

VOLCENGINE = (
    _volcengine(
        name="volcengine.overdue",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("accountoverdueerror", "operationdenied.serviceoverdue"),
    ),
    _volcengine(name="volcengine.overloaded", means=ErrorClass.OVERLOADED, codes=names("serveroverloaded")),
    _volcengine(
        name="volcengine.own_limit",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("setlimitexceeded"),
        meaning=_("The limit of inference that the account's owner has set is reached."),
        remedy=_("Raise or remove the limit in the provider's console."),
        lasts=_("until the limit is raised"),
    ),
    _volcengine(
        name="volcengine.quota",
        means=ErrorClass.SPEND_LIMIT,
        beginnings=("quotaexceeded",),
        alone=Certainty.LIKELY,
        certainty=Certainty.LIKELY,
        meaning=_("An allowance of the account is used up, such as the free one."),
        remedy=_("Look into the provider's console which one it is, and raise it or pay for more."),
        lasts=_("until the allowance is raised"),
    ),
    _volcengine(
        name="volcengine.rate",
        means=ErrorClass.RATE_LIMITED,
        codes=names("accountratelimitexceeded", "requestbursttoofast", "inflightbatchsizeexceeded"),
        beginnings=("ratelimitexceeded.", "modelaccountrpm", "modelaccounttpm", "modelaccountipm"),
    ),
    _volcengine(
        name="volcengine.too_many_requests",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("toomanyrequests"),
        alone=Certainty.LIKELY,
    ),
    _volcengine(
        name="volcengine.key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("authenticationerror"),
        alone=Certainty.LIKELY,
    ),
    _volcengine(
        name="volcengine.not_open",
        means=ErrorClass.PLAN_DENIED,
        codes=names("accessdenied", "modelnotopen", "invalidendpointormodel.notfound"),
        alone=Certainty.LIKELY,
        remedy=_("Open the model in the provider's console, and check the name of the endpoint."),
    ),
)

AZURE = (
    _azure(
        name="azure.low_tier",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({429}),
        says=says(r"retry after 86400 seconds"),
        alone=Certainty.CERTAIN,
        meaning=_("The subscription's tier allows this model next to nothing: a day's wait is told."),
        remedy=_("Ask for quota of this model in Azure, or use another subscription."),
    ),
    _azure(
        name="azure.rate",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"have exceeded (?:the )?(?:token|call) rate limit of your"),
        alone=Certainty.CERTAIN,
        remedy=_("Wait; a lower limit of the answer helps, as Azure counts what may be written."),
    ),
    _azure(
        name="azure.apim_quota",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({403}),
        says=says(r"out of (?:call volume|bandwidth) quota|quota (?:is |has been )?exceeded"),
        source="https://learn.microsoft.com/azure/api-management/quota-policy",
        meaning=_("The quota that an API Management gateway gives is used up."),
    ),
    _azure(
        name="azure.apim_rate",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"^rate limit is exceeded"),
        source="https://learn.microsoft.com/azure/api-management/rate-limit-policy",
    ),
    _azure(
        name="azure.no_deployment",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({404}),
        codes=names("deploymentnotfound"),
        alone=Certainty.CERTAIN,
        remedy=_("Map the model to the name of a deployment that exists."),
    ),
)

RULES = (*DASHSCOPE, *VOLCENGINE, *AZURE)
