"""Every error that providers document, or that people reported, is taken for what it is."""

import json

import pytest

from billing.upstream.diagnoses.bodies import MAX_BYTES
from billing.upstream.diagnoses.classes import Certainty
from billing.upstream.diagnoses.diagnosing import Diagnosis, diagnose
from billing.upstream.diagnoses.providers import PROVIDERS
from billing.upstream.diagnoses.rules import RULES, STATUS_RULES
from tests.billing.upstream.diagnoses.documented import DOCUMENTED, Case
from tests.factories import NOON

NOT_TOLD_APART = {
    "baidu.daily_or_unpaid",
    "google.resource_exhausted",
    "one_api.saturated",
    "siliconflow.refused",
    "volcengine.quota",
    "xai.no_credits_or_limit",
}
"""Rules of errors for which their own provider has one answer to several causes."""

FAMILIES = {"gemini": ("gemini.", "google."), "vertex": ("vertex.",), "new_api": ("one_api.",)}
"""How the names of a provider's rules begin, where it is not with its own name."""
SHARED = {
    "openai-401-auth_invalid": "any.invalid_api_key",
    "dashscope-401-auth_invalid": "any.invalid_api_key",
    "novita-403-auth_invalid": "any.invalid_api_key",
    "novita-429-rate_limited": "any.rate_limit_exceeded",
    "anthropic-400-bad_request": "status.bad_request",
    "siliconflow-400-bad_request": "status.bad_request",
    "siliconflow-401-auth_invalid": "status.unauthorized",
    "openrouter-200-rate_limited": "status.too_many_requests",
    "one_api-401-auth_invalid": "status.unauthorized",
    "new_api-401-auth_invalid": "status.unauthorized",
    "one_api-500-overloaded": "status.failed",
    "one_api-400-bad_request": "status.bad_request",
}
"""Errors that say nothing of their own provider: the rules of all."""


def diagnosed(case: Case, *, provider: str | None) -> Diagnosis:
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, ensure_ascii=False).encode()
    return diagnose(status=case.status, headers=case.headers, body=body, provider=provider, at=NOON)


@pytest.mark.parametrize("case", DOCUMENTED, ids=str)
def test_an_error_of_a_known_provider_means_what_its_documents_say(case: Case) -> None:
    diagnosis = diagnosed(case, provider=case.provider)

    assert diagnosis.error_class == case.means
    assert diagnosis.retry_after_s == case.wait
    assert diagnosis.provider == case.provider
    family = FAMILIES.get(case.provider, (f"{case.provider}.",))
    assert diagnosis.matched.rule.startswith(family) or diagnosis.matched.rule == SHARED[str(case)]
    assert len(case.body if isinstance(case.body, bytes) else json.dumps(case.body)) < MAX_BYTES


@pytest.mark.parametrize("case", DOCUMENTED, ids=str)
def test_what_is_told_by_a_code_is_certain_and_what_the_status_alone_tells_is_not(case: Case) -> None:
    diagnosis = diagnosed(case, provider=case.provider)

    is_certain = diagnosis.certainty == Certainty.CERTAIN
    assert is_certain != (
        diagnosis.matched.rule.startswith("status.") or diagnosis.matched.rule in NOT_TOLD_APART
    )


@pytest.mark.parametrize("case", DOCUMENTED, ids=str)
def test_without_the_provider_nothing_is_certain_that_would_be_wrong(case: Case) -> None:
    diagnosis = diagnosed(case, provider=None)

    is_right = diagnosis.error_class == case.means
    assert is_right or diagnosis.certainty != Certainty.CERTAIN
    assert diagnosis.provider in (case.provider, None)


@pytest.mark.parametrize("case", DOCUMENTED, ids=str)
def test_every_diagnosis_reads_well_to_people_in_both_languages(case: Case) -> None:
    diagnosis = diagnosed(case, provider=case.provider)

    for text in (diagnosis.meaning, diagnosis.remedy, diagnosis.lasts):
        assert text
        assert "%(" not in text
    assert diagnosis.matched.source.startswith("https://")


def test_every_provider_has_errors_of_its_own_among_them() -> None:
    assert {case.provider for case in DOCUMENTED} == set(PROVIDERS)


def test_rules_have_names_of_their_own_and_name_known_providers() -> None:
    rules = [*RULES, *STATUS_RULES]

    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.providers <= set(PROVIDERS) for rule in rules)
    assert all(code == code.lower() for rule in rules for code in rule.codes)
    assert all(rule.source.startswith("https://") for rule in rules)


def test_every_rule_of_a_provider_is_shown_by_one_of_the_documented_errors() -> None:
    shown = {
        diagnosed(case, provider=provider).matched.rule
        for case in DOCUMENTED
        for provider in (case.provider, None)
    }
    of_providers = {rule.name for rule in RULES if rule.providers}

    assert of_providers - shown == set()
