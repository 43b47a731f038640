"""Errors of nobody who is known: by common codes, then by words, then by the status alone."""

import json
from typing import Any

import pytest

from billing.upstream.diagnoses.diagnosing import diagnose
from billing.upstream.diagnoses.rules import STATUS_RULES, anyone
from tests.factories import NOON

CASES = [
    (401, {"code": "invalid_api_key"}, "any.invalid_api_key", "auth_invalid", "certain"),
    (404, {"code": "model_not_found"}, "any.model_not_found", "plan_denied", "certain"),
    (400, {"code": "context_length_exceeded"}, "any.context_length", "too_large", "certain"),
    (
        400,
        {"message": "the maximum context length is 8"},
        "any.context_length_in_words",
        "too_large",
        "certain",
    ),
    (402, {"code": "insufficient_credits"}, "any.insufficient_credits", "credit_exhausted", "certain"),
    (429, {"code": "insufficient_quota"}, "any.insufficient_quota", "credit_exhausted", "likely"),
    (402, {"code": "free_quota_exceeded"}, "any.free_quota", "credit_exhausted", "likely"),
    (429, {"code": "quota_exceeded"}, "any.quota_exceeded", "spend_limit", "likely"),
    (
        429,
        {"message": "You exceeded your current quota"},
        "any.current_quota_in_words",
        "credit_exhausted",
        "likely",
    ),
    (402, {"message": "Your monthly limit is hit"}, "any.spend_limit_in_words", "spend_limit", "likely"),
    (403, {"message": "账户余额不足"}, "any.no_money_in_words", "credit_exhausted", "likely"),
    (400, {"message": "Your credit balance is too low"}, "any.credit_too_low", "credit_exhausted", "likely"),
    (403, {"message": "This account was suspended"}, "any.suspended_in_words", "account_suspended", "likely"),
    (403, {"message": "Your country is not supported"}, "any.region_in_words", "plan_denied", "likely"),
    (403, {"message": "Invalid API key"}, "any.bad_key_in_words", "auth_invalid", "likely"),
    (403, {"message": "Your API key is expired"}, "any.key_is_bad_in_words", "auth_invalid", "likely"),
    (429, {"code": "rate_limit_exceeded"}, "any.rate_limit_exceeded", "rate_limited", "certain"),
    (429, {"type": "rate_limit_error"}, "any.rate_limit_error", "rate_limited", "likely"),
    (429, {"code": "server_overloaded"}, "any.overloaded", "overloaded", "certain"),
    (429, {"message": "We are at capacity"}, "any.overloaded_in_words", "overloaded", "likely"),
    (401, {}, "status.unauthorized", "auth_invalid", "likely"),
    (402, {}, "status.payment_required", "credit_exhausted", "likely"),
    (403, {}, "status.forbidden", "unknown", "unknown"),
    (404, {}, "status.not_found", "plan_denied", "likely"),
    (413, {}, "status.too_large", "too_large", "likely"),
    (425, {}, "status.too_many_requests", "rate_limited", "likely"),
    (429, {}, "status.too_many_requests", "rate_limited", "likely"),
    (408, {}, "status.failed", "overloaded", "likely"),
    (409, {}, "status.failed", "overloaded", "likely"),
    (500, {}, "status.failed", "overloaded", "likely"),
    (599, {}, "status.failed", "overloaded", "likely"),
    (400, {}, "status.bad_request", "bad_request", "likely"),
    (422, {}, "status.bad_request", "bad_request", "likely"),
    (499, {}, "status.bad_request", "bad_request", "likely"),
    (308, {}, "status.redirect", "unknown", "unknown"),
    (407, {}, "none", "unknown", "unknown"),
    (100, {}, "none", "unknown", "unknown"),
]


@pytest.mark.parametrize(("status", "error", "rule", "means", "certainty"), CASES)
def test_an_error_of_nobody_known_is_read_by_what_it_says(
    status: int, error: dict[str, Any], rule: str, means: str, certainty: str
) -> None:
    diagnosis = diagnose(status=status, body=json.dumps({"error": error}), at=NOON)

    assert (diagnosis.matched.rule, diagnosis.error_class, diagnosis.certainty) == (rule, means, certainty)
    assert diagnosis.provider is None


def test_each_of_these_rules_is_shown() -> None:
    rules = {rule.name for rule in (*anyone.RULES, *STATUS_RULES)}

    assert rules <= {rule for _status, _error, rule, _means, _certainty in CASES}


@pytest.mark.parametrize(
    "message",
    [
        "the account 'team' in your CSV is restricted",
        "field 'balance' is missing",
        "the tool 'country' is not supported",
        "api keys are documented elsewhere",
        "Invalid value: 'my api key is expired'",
    ],
)
def test_a_wrong_request_stays_one_whatever_words_it_quotes(message: str) -> None:
    diagnosis = diagnose(status=400, body=json.dumps({"error": {"message": message}}), at=NOON)

    assert diagnosis.error_class == "bad_request"
