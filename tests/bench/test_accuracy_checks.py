"""The accuracy benchmark's comparison sees every kind of fault; without one, it finds nothing."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from bench.accuracy.callers import Caller
from bench.accuracy.checks import Fault, LastRefusal, Observations, check
from bench.accuracy.clients import Ending, Refusal, Seen
from bench.accuracy.prices import price
from bench.accuracy.records import Account, Books, Entry, Row, Served, Token
from bench.accuracy.traffic import BROKEN, CUT, ECHO, FAILOVER, SILENT, Call, Kind, Leaves, Model

ACCOUNT, OTHER = 1, 2
GIVEN = 10_000
ONE = Decimal(1)
WORDS, ANSWER = 96, 50
PROMPT = WORDS + 4
FULL = price(PROMPT, ANSWER, ONE)
COUNTED = price(PROMPT + 1, ANSWER, ONE)
PART = price(PROMPT + 1, 20, ONE)
JSON, STREAM, LEFT, REFUSED, FAILED, UNKNOWN, NO_USAGE, SWITCHED, HALF = range(9)
"""The calls that are observed, by their numbers."""


def call(number: int, model: Model = ECHO, *, is_stream: bool = False, leaves: Leaves = Leaves.NEVER) -> Call:
    return Call(
        number=number,
        at=0,
        kind=Kind(model=model, share=1, is_stream=is_stream, leaves=leaves),
        caller=0,
        words=WORDS,
        answer=ANSWER,
        limit=None,
        wants_usage=False,
        delay_ms=0,
        leaves_after=1,
    )


def seen(call: Call, **fields: object) -> Seen:
    defaults = {
        "ending": Ending.WHOLE,
        "status": 200,
        "request_id": f"id{call.number}",
        "charged": FULL,
        "remaining": 1,
        "events": 20 if call.kind.is_stream else 0,
        "words": ANSWER,
        "is_complete": True,
    }
    return Seen(call=call, **{**defaults, **fields})


def row(number: int, model: Model = ECHO, *, quota: int = FULL, **fields: object) -> Row:
    defaults = {
        "request_id": f"id{number}",
        "account_id": ACCOUNT,
        "token_id": 10,
        "model": model.name,
        "prompt_tokens": PROMPT,
        "cached_tokens": 0,
        "completion_tokens": ANSWER,
        "quota": quota,
        "estimate": 1_000,
        "usage_source": "upstream",
        "error_code": "",
        "entry_id": 100 + number if quota else None,
    }
    return Row(**{**defaults, **fields})


def counted(number: int, model: Model, answer: int, **fields: object) -> Row:
    quota = price(PROMPT + 1, answer, ONE)
    tokens = {"prompt_tokens": PROMPT + 1, "completion_tokens": answer}
    return row(number, model, quota=quota, usage_source="estimated", **tokens, **fields)


def served(answer: int = ANSWER, status: int = 200) -> Served:
    return Served(
        model="sandbox-echo",
        status=status,
        prompt_tokens=PROMPT,
        answer_tokens=answer if status == 200 else 0,
    )


def balanced(observed: Observations) -> Observations:
    """Give the observations the entries, balances and counters that their rows ask for."""
    entries = [Entry(pk=1, account_id=ACCOUNT, kind="top_up", amount=GIVEN, balance_after=GIVEN)]
    for one in observed.books.rows:
        if one.quota:
            left = entries[-1].balance_after - one.quota
            entries.append(
                Entry(
                    pk=one.entry_id, account_id=ACCOUNT, kind="usage", amount=-one.quota, balance_after=left
                )
            )
    used = sum(one.quota for one in observed.books.rows)
    observed.books.entries = entries
    observed.books.accounts = {ACCOUNT: Account(pk=ACCOUNT, balance=GIVEN - used, held=0)}
    observed.books.tokens = {10: Token(pk=10, quota_limit=GIVEN, used_quota=used, held=0)}
    return observed


@pytest.fixture
def observed() -> Observations:
    """One call of each sort, all in order."""
    refusal = Refusal(quota="user", left=10, needed=20)
    books = Books(
        rows=[
            row(JSON),
            row(STREAM),
            counted(LEFT, ECHO, 20),
            row(FAILED, BROKEN, quota=0, usage_source="none", prompt_tokens=0, completion_tokens=0),
            row(UNKNOWN, request_id="nobody was told"),
            counted(NO_USAGE, SILENT, ANSWER),
            row(SWITCHED, FAILOVER),
            counted(HALF, CUT, 7),
        ],
        entries=[],
        accounts={},
        tokens={},
        open_holds=0,
    )
    caller = Caller(account_id=ACCOUNT, token_id=10, key="sk", quota_limit=GIVEN, multiplier=ONE)
    half = price(PROMPT + 1, 7, ONE)
    left, unknown = Leaves.MID_STREAM, Leaves.BEFORE_ANSWER
    return balanced(
        Observations(
            callers=[caller],
            granted={ACCOUNT: GIVEN},
            seen=[
                seen(call(JSON), usage=(PROMPT, ANSWER)),
                seen(call(STREAM, is_stream=True)),
                seen(
                    call(LEFT, is_stream=True, leaves=left),
                    ending=Ending.LEFT,
                    words=15,
                    charged=None,
                    is_complete=False,
                ),
                seen(call(REFUSED), status=403, refusal=refusal, charged=None, words=0, is_complete=False),
                seen(call(FAILED, BROKEN), status=502, charged=None, words=0, is_complete=False),
                seen(
                    call(UNKNOWN, leaves=unknown), ending=Ending.LEFT, status=0, request_id="", charged=None
                ),
                seen(call(NO_USAGE, SILENT), charged=COUNTED),
                seen(call(SWITCHED, FAILOVER)),
                seen(call(HALF, CUT, is_stream=True), charged=half, words=7, events=1, is_complete=False),
            ],
            last_refusals=[LastRefusal(caller=0, needed=GIVEN)],
            served={
                JSON: [served()],
                STREAM: [served()],
                LEFT: [served(25)],
                FAILED: [served(status=500)],
                UNKNOWN: [served()],
                NO_USAGE: [served()],
                SWITCHED: [served(status=500), served()],
            },
            books=books,
        )
    )


def change_row(number: int, **fields: object) -> Callable[[Observations], None]:
    """Change a row, with the books still in balance."""

    def change(observed: Observations) -> None:
        rows = observed.books.rows
        rows[:] = [replace(one, **fields) if one.request_id == f"id{number}" else one for one in rows]
        balanced(observed)

    return change


def change_seen(number: int, **fields: object) -> Callable[[Observations], None]:
    def change(observed: Observations) -> None:
        observed.seen[number] = replace(observed.seen[number], **fields)

    return change


def change_account(**fields: object) -> Callable[[Observations], None]:
    def change(observed: Observations) -> None:
        observed.books.accounts[ACCOUNT] = replace(observed.books.accounts[ACCOUNT], **fields)

    return change


def change_token(**fields: object) -> Callable[[Observations], None]:
    def change(observed: Observations) -> None:
        observed.books.tokens[10] = replace(observed.books.tokens[10], **fields)

    return change


def without_row(request_id: str) -> Callable[[Observations], None]:
    def change(observed: Observations) -> None:
        observed.books.rows[:] = [one for one in observed.books.rows if one.request_id != request_id]
        balanced(observed)

    return change


def another_row(number: int, **fields: object) -> Callable[[Observations], None]:
    def change(observed: Observations) -> None:
        observed.books.rows.append(row(number, entry_id=999, **fields))
        balanced(observed)

    return change


def entry_takes_more(observed: Observations) -> None:
    last = observed.books.entries[-1]
    more = {"amount": last.amount - 5, "balance_after": last.balance_after - 5}
    observed.books.entries[-1] = replace(last, **more)


def row_without_entry(observed: Observations) -> None:
    observed.books.entries.pop()


def below_zero_meanwhile(observed: Observations) -> None:
    observed.books.entries[3] = replace(observed.books.entries[3], balance_after=-1)


def limit_was_passed(observed: Observations) -> None:
    observed.callers[0] = replace(observed.callers[0], quota_limit=FULL)
    observed.last_refusals.clear()


def given_less(observed: Observations) -> None:
    observed.granted[ACCOUNT] = FULL
    observed.last_refusals.clear()


def open_hold(observed: Observations) -> None:
    observed.books.open_holds = 1


def enough_was_left(observed: Observations) -> None:
    observed.last_refusals[0] = LastRefusal(caller=0, needed=5)


def refused_but_served(observed: Observations) -> None:
    observed.served[REFUSED] = [served()]


DOCTORED = {
    "an account below zero meanwhile": (below_zero_meanwhile, Fault.OVERSPEND),
    "an account below zero in the end": (change_account(balance=-1), Fault.OVERSPEND),
    "more spent than was given": (given_less, Fault.OVERSPEND),
    "a token beyond its limit": (limit_was_passed, Fault.OVERSPEND),
    "a charge above its hold": (change_row(JSON, estimate=FULL - 1), Fault.OVERSPEND),
    "less than nothing left": (change_seen(JSON, remaining=-1), Fault.OVERSPEND),
    "refused with enough in hand": (
        change_seen(REFUSED, refusal=Refusal(quota="user", left=20, needed=20)),
        Fault.UNDERSPEND,
    ),
    "refused although enough was left in the end": (enough_was_left, Fault.UNDERSPEND),
    "two rows of a call": (another_row(JSON), Fault.DOUBLE_CHARGE),
    "a row of no call": (another_row(77), Fault.DOUBLE_CHARGE),
    "a row of a refused call": (another_row(REFUSED), Fault.DOUBLE_CHARGE),
    "a charge for a failure": (change_row(FAILED, quota=5, entry_id=5), Fault.DOUBLE_CHARGE),
    "another one's account": (change_row(JSON, account_id=OTHER), Fault.DOUBLE_CHARGE),
    "a unit too much": (change_row(STREAM, quota=FULL + 1), Fault.DOUBLE_CHARGE),
    "more tokens than were reported": (
        change_row(JSON, completion_tokens=60, quota=price(PROMPT, 60, ONE)),
        Fault.DOUBLE_CHARGE,
    ),
    "more tokens than were sent to who left": (
        change_row(LEFT, completion_tokens=26, quota=price(PROMPT + 1, 26, ONE)),
        Fault.DOUBLE_CHARGE,
    ),
    "counted by us, where the provider reports": (
        change_row(STREAM, prompt_tokens=PROMPT + 1, quota=COUNTED, usage_source="estimated"),
        Fault.DOUBLE_CHARGE,
    ),
    "told another charge": (change_seen(STREAM, charged=FULL - 1), Fault.DOUBLE_CHARGE),
    "an entry that takes more than its rows": (entry_takes_more, Fault.DOUBLE_CHARGE),
    "a balance that lost something": (change_account(balance=1), Fault.DOUBLE_CHARGE),
    "a counter that is too high": (change_token(used_quota=9_999), Fault.DOUBLE_CHARGE),
    "an open hold": (open_hold, Fault.LEAKED_HOLD),
    "an account that holds": (change_account(held=1), Fault.LEAKED_HOLD),
    "a token that holds": (change_token(held=1), Fault.LEAKED_HOLD),
    "no row of a JSON answer": (without_row("id0"), Fault.LOST_ROW),
    "no row of a stream that was left": (without_row("id2"), Fault.LOST_ROW),
    "no row of a failure": (without_row("id4"), Fault.LOST_ROW),
    "nothing charged for an answer": (change_row(JSON, quota=0), Fault.FREE_CALL),
    "a unit too little": (change_row(STREAM, quota=FULL - 1), Fault.FREE_CALL),
    "fewer tokens than were reported": (
        change_row(JSON, completion_tokens=40, quota=price(PROMPT, 40, ONE)),
        Fault.FREE_CALL,
    ),
    "fewer tokens than who left has": (
        change_row(LEFT, completion_tokens=14, quota=price(PROMPT + 1, 14, ONE)),
        Fault.FREE_CALL,
    ),
    "fewer words than a client has, who stayed": (
        change_row(NO_USAGE, completion_tokens=49, quota=price(PROMPT + 1, 49, ONE)),
        Fault.FREE_CALL,
    ),
    "a prompt for less": (change_row(JSON, cached_tokens=5), Fault.FREE_CALL),
    "no row of a call that was served to nobody": (without_row("nobody was told"), Fault.FREE_CALL),
    "refused, and served": (refused_but_served, Fault.FREE_CALL),
    "a row without its entry": (row_without_entry, Fault.FREE_CALL),
    "a balance that gained something": (change_account(balance=GIVEN), Fault.FREE_CALL),
    "a failure that nothing caused": (change_seen(JSON, status=500), Fault.UNEXPLAINED),
    "a stream without its end": (change_seen(STREAM, is_complete=False), Fault.UNEXPLAINED),
    "a connection that broke": (change_seen(STREAM, ending=Ending.BROKEN), Fault.UNEXPLAINED),
    "no answer": (change_seen(UNKNOWN, ending=Ending.LATE), Fault.UNEXPLAINED),
    "not told the charge": (change_seen(JSON, charged=None), Fault.UNEXPLAINED),
}


def test_calls_that_are_all_in_order_are_no_fault(observed: Observations) -> None:
    findings = check(observed)

    assert dict(findings.faults) == {}
    assert (findings.unknown, findings.explained) == (1, 1)


@pytest.mark.parametrize("what", DOCTORED)
def test_each_fault_is_seen(observed: Observations, what: str) -> None:
    doctor, fault = DOCTORED[what]

    doctor(observed)

    assert check(observed).faults[fault], what


def test_a_call_of_a_killed_process_needs_no_row_when_nobody_was_served(observed: Observations) -> None:
    without_row("nobody was told")(observed)
    observed.seen[UNKNOWN] = replace(observed.seen[UNKNOWN], ending=Ending.BROKEN)
    observed.may_break = True

    assert check(observed).is_clean


@pytest.mark.parametrize(("tokens", "faults"), [(12, []), (4, [Fault.FREE_CALL])])
def test_a_stream_of_a_killed_process_costs_an_event_each_at_least(
    observed: Observations, tokens: int, faults: list[Fault]
) -> None:
    died = {"error_code": "relay_died", "usage_source": "estimated"}
    change_row(STREAM, completion_tokens=tokens, quota=price(PROMPT, tokens, ONE), **died)(observed)
    broke = {"ending": Ending.BROKEN, "is_complete": False, "charged": None, "events": 5, "words": 13}
    observed.seen[STREAM] = replace(observed.seen[STREAM], **broke)
    observed.may_break = True

    findings = check(observed)

    assert [fault for fault, texts in findings.faults.items() if texts] == faults
    assert (findings.recovered, findings.recovered_tokens) == (1, tokens)


def test_a_stream_of_a_killed_process_that_was_begun_has_to_have_a_row(observed: Observations) -> None:
    without_row(f"id{STREAM}")(observed)
    broke = {"ending": Ending.BROKEN, "is_complete": False, "charged": None}
    observed.seen[STREAM] = replace(observed.seen[STREAM], **broke)
    observed.may_break = True

    assert check(observed).faults[Fault.LOST_ROW]


@pytest.mark.parametrize("has_row", [True, False])
def test_a_caller_may_leave_between_the_head_of_an_answer_and_its_end(
    observed: Observations, has_row: bool
) -> None:
    left = {"ending": Ending.LEFT, "is_complete": False, "words": 0}
    observed.seen[JSON] = replace(observed.seen[JSON], **left)
    if not has_row:  # JSON leaves after its charge, the head too
        without_row(f"id{JSON}")(observed)

    faults = check(observed).faults

    assert bool(faults[Fault.LOST_ROW]) is not has_row
    assert not faults[Fault.UNEXPLAINED]
