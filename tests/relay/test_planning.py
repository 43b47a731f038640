"""Choosing channels for a call, and bounding what it can cost."""

import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing.pricing import Rate, Tier, TokenCounts, call_quota
from billing.services.callers import Caller
from billing.services.config import Config, Route
from relay.chat import ChatRequest
from relay.errors import ModelNotFoundError, ModelNotPricedError, NoChannelError
from relay.planning import LONGEST_ANSWER, SHORTEST_ANSWER, CallPlan, plan_call
from relay.token_counts import bound_prompt
from tests.factories import NOON

quick = hypothesis_settings(deadline=None, max_examples=60)
CALLER = Caller(
    token_id=1,
    token_name="laptop",
    token_status="enabled",
    expires_at=None,
    allowed_models=(),
    allowed_networks=(),
    user_id=1,
    username="ada",
    user_status="enabled",
    group="default",
    language="",
)
ROUTE = Route(
    channel_id=1,
    name="a channel",
    base_url="http://192.0.2.1",
    key="sk-1",
    models=frozenset({"a-model"}),
    model_mapping={},
    groups=frozenset({"default"}),
    priority=0,
    weight=1,
    cost_multiplier=Decimal(1),
    has_money=None,
    is_near_limit=False,
)
UNIT = 2_000
"""Billionths of a dollar in one quota unit: at this price a token, a token is a unit."""
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "one two three"}]}


def token_rate(units: int = 1, *, max_output_tokens: int | None = None, **fields: Any) -> Rate:
    price = units * UNIT * 10**6
    tier = Tier(above=-1, input=price, cached_input=price, output=price)
    return Rate(version="operator:1", tiers=(tier,), max_output_tokens=max_output_tokens, **fields)


def config(*routes: Route, rates: dict[str, Rate] | None = None, **fields: Any) -> Config:
    return Config(
        version=1,
        routes=routes,
        known_models=frozenset({"a-model", "disabled-model"}),
        operator_rates={"a-model": token_rate()} if rates is None else rates,
        multipliers=fields.get("multipliers", {}),
    )


def chat(*, model: str = "a-model", output_limit: int | None = 100, choices: int = 1) -> ChatRequest:
    return ChatRequest(
        body=BODY,
        model=model,
        is_stream=False,
        wants_usage=False,
        output_limit=output_limit,
        choices=choices,
    )


def plan(
    settings: Config, request: ChatRequest | None = None, *, affordable: int = 10**9, caller: Caller = CALLER
) -> CallPlan:
    return plan_call(
        config=settings, caller=caller, request=request or chat(), affordable=affordable, at=NOON
    )


def names(made: CallPlan) -> list[str]:
    return [attempt.route.name for attempt in made.attempts]


PROMPT = bound_prompt(body=BODY, model="a-model")


def test_channels_are_tried_from_the_highest_priority_down(settings) -> None:
    settings.RELAY_MAX_ATTEMPTS = 9
    routes = [replace(ROUTE, name=str(priority), priority=priority) for priority in (-5, 7, 0, 3)]

    assert names(plan(config(*routes))) == ["7", "3", "0", "-5"]


def test_channels_whose_limit_is_near_come_after_all_others(settings) -> None:
    settings.RELAY_MAX_ATTEMPTS = 4
    near, far = replace(ROUTE, is_near_limit=True), ROUTE
    routes = [
        replace(near, name="1", priority=9),
        replace(far, name="2"),
        replace(near, name="3", priority=3),
    ]

    made = plan(config(*routes))

    assert [attempt.route.name for attempt in made.attempts] == ["2", "1", "3"]


def test_within_one_priority_the_weights_are_the_shares_of_first_choices() -> None:
    routes = [replace(ROUTE, name=name, weight=weight) for name, weight in (("a", 1), ("b", 3), ("c", 6))]
    random.seed(20_260_302)

    firsts = Counter(names(plan(config(*routes)))[0] for _ in range(4_000))

    assert firsts["a"] == pytest.approx(400, abs=80)
    assert firsts["b"] == pytest.approx(1_200, abs=120)
    assert firsts["c"] == pytest.approx(2_400, abs=120)


def test_the_second_choice_follows_the_weights_too() -> None:
    routes = [replace(ROUTE, name="always first", priority=1)]
    routes += [replace(ROUTE, name=name, weight=weight) for name, weight in (("a", 1), ("b", 4))]
    random.seed(7)

    seconds = Counter(names(plan(config(*routes)))[1] for _ in range(2_000))

    assert seconds["b"] == pytest.approx(1_600, abs=90)


def test_a_channel_of_no_weight_is_only_the_last_resort() -> None:
    routes = [replace(ROUTE, name=name, weight=weight) for name, weight in (("none", 0), ("some", 1))]
    random.seed(1)

    orders = {tuple(names(plan(config(*routes)))) for _ in range(300)}

    assert orders == {("some", "none")}


def test_no_more_channels_are_tried_than_allowed(settings) -> None:
    settings.RELAY_MAX_ATTEMPTS = 2
    routes = [replace(ROUTE, name=str(priority), priority=priority) for priority in (4, 3, 2, 1)]

    assert names(plan(config(*routes))) == ["4", "3"]


def test_channels_of_other_groups_and_models_are_left_out() -> None:
    routes = [
        replace(ROUTE, name="other group", groups=frozenset({"vip"})),
        replace(ROUTE, name="other model", models=frozenset({"b-model"})),
        replace(ROUTE, name="fits", groups=frozenset({"vip", "default"})),
    ]

    assert names(plan(config(*routes))) == ["fits"]


def test_unpriced_channels_are_skipped_and_do_not_use_up_the_attempts(settings) -> None:
    settings.RELAY_MAX_ATTEMPTS = 2
    unpriced = [
        replace(ROUTE, name=f"unpriced {at}", priority=9, model_mapping={"a-model": f"unheard-of-{at}"})
        for at in range(3)
    ]
    priced = replace(ROUTE, name="priced", model_mapping={"a-model": "their-model"})

    made = plan(config(*unpriced, priced, rates={"their-model": token_rate()}))

    assert names(made) == ["priced"]
    assert made.attempts[0].served_model == "their-model"


def test_a_model_nobody_priced_nobody_has_or_nobody_enabled_is_refused_by_its_own_error() -> None:
    mapped = replace(ROUTE, models=frozenset({"unheard-of"}))

    with pytest.raises(ModelNotPricedError):
        plan(config(mapped, rates={}), chat(model="unheard-of"))
    with pytest.raises(ModelNotFoundError):
        plan(config(ROUTE), chat(model="elsewhere"))
    with pytest.raises(NoChannelError):
        plan(config(ROUTE), chat(model="disabled-model"))
    with pytest.raises(NoChannelError):
        plan(config(ROUTE), caller=replace(CALLER, group="guests"))


def test_the_estimate_is_the_prompt_and_the_callers_limit_for_every_choice() -> None:
    assert plan(config(ROUTE), chat(output_limit=100, choices=1)).estimate == PROMPT + 100
    assert plan(config(ROUTE), chat(output_limit=100, choices=5)).estimate == PROMPT + 500


def test_the_estimate_covers_the_dearest_channel_and_the_groups_multiplier() -> None:
    cheap, dear = (replace(ROUTE, name=name, model_mapping={"a-model": name}) for name in ("cheap", "dear"))
    rates = {"cheap": token_rate(1), "dear": token_rate(3)}

    made = plan(config(cheap, dear, rates=rates, multipliers={"default": Decimal(2), "vip": Decimal(9)}))

    assert made.estimate == 6 * (PROMPT + 100)
    assert made.multiplier == 2


def test_the_prompt_is_bounded_for_the_model_that_is_served() -> None:
    chinese = replace(chat(model="gpt-4o"), body={"messages": [{"role": "user", "content": "额度" * 200}]})
    mapped = replace(ROUTE, models=frozenset({"gpt-4o"}), model_mapping={"gpt-4o": "deepseek-chat"})

    made = plan(config(mapped, rates={"deepseek-chat": token_rate()}), chinese)

    assert made.estimate >= len(("额度" * 200).encode()) + 100


def test_a_limit_of_the_callers_is_left_to_them_and_bounded_by_the_models_own() -> None:
    short = config(ROUTE, rates={"a-model": token_rate(max_output_tokens=40)})

    made = plan(short, chat(output_limit=100))

    assert made.estimate == PROMPT + 40
    assert made.attempts[0].output_limit is None


@pytest.mark.parametrize(("longest", "expected"), [(40, 40), (None, LONGEST_ANSWER)])
def test_without_a_limit_the_models_longest_answer_counts_for_those_who_can_afford_it(
    longest, expected
) -> None:
    settings = config(ROUTE, rates={"a-model": token_rate(max_output_tokens=longest)})

    made = plan(settings, chat(output_limit=None, choices=2))

    assert made.estimate == PROMPT + 2 * expected
    assert made.attempts[0].output_limit is None


def test_without_a_limit_a_poor_caller_gets_the_limit_that_they_can_afford() -> None:
    made = plan(config(ROUTE), chat(output_limit=None), affordable=PROMPT + 1_000)

    assert made.attempts[0].output_limit == 1_000
    assert made.estimate == PROMPT + 1_000


def test_what_a_poor_caller_can_afford_is_shared_between_the_choices() -> None:
    made = plan(config(ROUTE), chat(output_limit=None, choices=3), affordable=PROMPT + 1_001)

    assert made.attempts[0].output_limit == 333
    assert made.estimate == PROMPT + 999


@pytest.mark.parametrize("affordable", [0, 1, PROMPT, PROMPT + SHORTEST_ANSWER - 1])
def test_nobody_is_admitted_for_an_answer_of_three_words(affordable: int) -> None:
    made = plan(config(ROUTE), chat(output_limit=None), affordable=affordable)

    assert made.attempts[0].output_limit == SHORTEST_ANSWER
    assert made.estimate == PROMPT + SHORTEST_ANSWER > affordable


def test_a_price_per_request_needs_no_limit() -> None:
    made = plan(
        config(ROUTE, rates={"a-model": Rate(version="operator:1", request=10 * UNIT)}),
        chat(output_limit=None),
        affordable=10,
    )

    assert (made.estimate, made.attempts[0].output_limit) == (10, None)


def test_a_free_model_is_planned_for_those_who_have_nothing() -> None:
    made = plan(config(ROUTE, rates={"a-model": token_rate(0)}), chat(output_limit=None), affordable=0)

    assert (made.estimate, made.attempts[0].output_limit) == (0, None)


@quick
@given(
    affordable=st.integers(0, 300_000),
    choices=st.integers(1, 8),
    output_limit=st.none() | st.integers(1, 100_000),
    longest=st.none() | st.integers(1, 100_000),
    units=st.integers(0, 5),
    data=st.data(),
)
def test_no_answer_within_the_limits_costs_more_than_the_estimate(
    affordable, choices, output_limit, longest, units, data
) -> None:
    rate = token_rate(units, max_output_tokens=longest)
    made = plan(
        config(ROUTE, rates={"a-model": rate}),
        chat(output_limit=output_limit, choices=choices),
        affordable=affordable,
    )
    sent = made.attempts[0].output_limit or output_limit or LONGEST_ANSWER
    each = min(sent, longest or sent)
    prompt = data.draw(st.integers(0, PROMPT))
    counts = TokenCounts(
        prompt=prompt,
        completion=data.draw(st.integers(0, each * choices)),
        cached=data.draw(st.integers(0, prompt)),
    )

    assert call_quota(rate, counts, made.multiplier) <= made.estimate


@pytest.mark.parametrize(
    ("has_money", "says"), [(True, "still has money"), (False, "even asked"), (None, "even")]
)
def test_a_refusal_says_what_is_known_of_the_providers_account(has_money, says: str) -> None:
    made = plan(config(replace(ROUTE, has_money=has_money)))

    assert says in str(made.upstream_note) % {"model": "a-model"}
