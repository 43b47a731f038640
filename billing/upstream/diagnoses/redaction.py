"""Hiding what looks like a key in a text that is repeated to somebody."""

import re
import string

HIDDEN = "…"
LONGEST_READ = 1000
"""No pattern is given more: a text made for that might keep it busy for as long as its square."""
_LONGEST_CUT_WORD = 64
_OF_WORDS = string.ascii_letters + string.digits + "-_.=*•…"
"""What keys are made of."""
_KEYS = re.compile(
    r"""
    \b(?:sk|rk|pk|gsk|xai|tgp|fw|nvapi|pplx|oa)[-_][A-Za-z0-9_\-*•.…]{4,}       # also half hidden ones
    | \b(?:key|org|proj)[-_](?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{8,}
    | \b(?:org|proj)[-_][A-Za-z0-9]{16,}                                        # an id even without digits
    | \bAIza[A-Za-z0-9_-]{10,}
    | \bey[JI][A-Za-z0-9_-]{10,}[A-Za-z0-9._-]*
    | \b(?:AKIA|ASIA|LTAI|AKLT|AKID)[A-Za-z0-9]{8,}
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b                  # Volcengine's keys are UUIDs
    | \b(?=[A-Za-z]{0,64}[0-9])(?=[0-9]{0,64}[A-Za-z])[A-Za-z0-9]{20,}[A-Za-z0-9.=_-]*  # no name is so long
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""
    ( \b (?: bearer \s{1,8} | (?:(?:x-)?api[-_]?key|access[-_]?token|token|secret|password|authorization)
        ["']? \s{0,8} [=:] \s{0,8} ["']? ) )
    (?= [^\s"',;&<>]{0,64} [0-9] ) [^\s"',;&<>]{6,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str, *, length: int = LONGEST_READ) -> str:
    """The text without what looks like a key, a token or the id of an organization; never longer.

    :param length: of what is wanted of it, from the beginning
    """
    return _hidden(_beginning(text))[:length]


def _beginning(text: str) -> str:
    """As much as is read, without half a word at its end: half a key may not look like one."""
    beginning = text[:LONGEST_READ]
    if len(text) <= LONGEST_READ:
        return beginning
    whole_words = beginning.rstrip(_OF_WORDS)
    return whole_words if len(beginning) - len(whole_words) <= _LONGEST_CUT_WORD else beginning


def _hidden(text: str) -> str:
    return _KEYS.sub(HIDDEN, _NAMED.sub(rf"\1{HIDDEN}", text))
