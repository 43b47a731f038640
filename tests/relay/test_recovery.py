"""What a stream costs whose process died while it was served."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from relay.calls import Call
from relay.planning import plan_call
from relay.recovery import StreamSoFar
from tests.factories import NOON
from tests.relay.test_planning import CALLER, ROUTE, chat, config


def call_of(*, output_limit: int | None = 100, affordable: int = 100_000, choices: int = 1) -> Call:
    request = chat(output_limit=output_limit, choices=choices)
    plan = plan_call(config=config(ROUTE), caller=CALLER, request=request, affordable=affordable, at=NOON)
    return Call("request", request, CALLER, plan, plan.attempts[0])


@given(
    st.one_of(st.none(), st.integers(1, 500)), st.integers(1, 3), st.integers(0, 5_000), st.integers(0, 5_000)
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_what_was_counted_roughly_never_costs_more_than_was_held(
    output_limit: int | None, choices: int, affordable: int, tokens: int
) -> None:
    call = call_of(output_limit=output_limit, affordable=affordable, choices=choices)

    assert call.stream_so_far().after(tokens).quota <= call.plan.estimate


@pytest.mark.parametrize(("tokens", "charged"), [(7, 7), (100, 100), (101, 100)])
def test_it_costs_its_prompt_and_as_many_tokens_as_were_served_up_to_its_limit(
    tokens: int, charged: int
) -> None:
    stream = call_of(output_limit=100).stream_so_far()

    settlement = stream.after(tokens)

    assert settlement.completion_tokens == charged
    assert settlement.quota == settlement.prompt_tokens + charged  # a token costs a unit


def test_the_journals_record_says_the_same() -> None:
    stream = call_of().stream_so_far()

    assert StreamSoFar.of_record(json.loads(json.dumps(stream.to_record()))) == stream
