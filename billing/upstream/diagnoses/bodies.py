"""Reading the body of an error in any of the shapes that providers use.

An ``error`` that is an object (OpenAI, Anthropic, Google, most others), an ``error`` that is a text (xAI,
Venice), a list of one such answer (Gemini's compatible route), ``base_resp`` (MiniMax), ``error_code``
(Baidu V1), ``code`` and ``message`` at the top (DashScope, SiliconFlow, Novita), ``detail`` (FastAPI); and
an answer of one provider within that of another.
"""

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 64 * 1024
"""What is beyond is not read."""
LONGEST_MESSAGE = 4096
LONGEST_NAME = 200
_MOST_LAYERS = 3
_MOST_PARTS = 40
_DEEPEST = 6
_HOLDERS = (
    *("error", "details", "metadata", "availability", "headers", "base_resp", "violations", "detail"),
    *("errors", "data"),
)
"""The names under which parts of an error stand."""
_TAGS = (
    *("code", "type", "status", "reason", "error_type", "error_code", "limit_source"),
    *("err_code", "errorCode", "errorType"),
)
_MESSAGES = ("message", "msg", "error_msg", "status_msg", "error_message", "error_description", "detail")
_FINE = frozenset({"", "0", "200", "20000", "none", "success", "ok"})
"""What stands for "no error" where a code is told with every answer."""
_PASSES_ON = re.compile(
    r"(?:(?:bad response(?: status code \d{3})?(?:, body)?|error(?: code)?:? \d{3}"
    r"|event: \w{1,20}\s{1,2}data|data|(?:upstream |provider |api )?[\w.]{0,60}(?:error|exception))"
    r"(?:(?::| -)\s?|\s)){0,6}\{",
    re.IGNORECASE,
)
"""How a text begins that passes on what another provider answered. Elsewhere in a text, JSON may be what a
caller wrote: providers quote what is wrong with a request."""
_STRING = r'"((?:[^"\\]|\\.){0,1000})'


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What an error says of itself. Texts are as they came, but for what no database or answer could hold."""

    code: str = ""
    type: str = ""
    message: str = ""
    param: str | None = None
    tags: frozenset[str] = frozenset()
    """All that is like a code, in small letters; MiniMax's and Baidu's after the name of their shape."""
    said: str = ""
    """The message in small letters on one line, each name of Google's quotas on another."""
    parts: tuple[Mapping[str, Any], ...] = ()
    """Its JSON objects, for what is told beside the message, such as delays."""
    text: str = ""
    """The whole body in small letters."""
    plain: str = ""
    """The beginning of a body that is no JSON."""
    inner: "ErrorBody | None" = None
    """The error of another provider that it passes on."""
    is_error: bool = False
    """Whether it says that something is wrong, whatever the status."""

    @property
    def layers(self) -> "list[ErrorBody]":
        """It and those within it, the outermost first."""
        return [self, *(self.inner.layers if self.inner else ())]


def read_body(body: bytes | str, *, is_passed_on: bool = True) -> ErrorBody:
    """Read whatever came; bytes that are no text and JSON that is cut off are read as far as they go.

    :param is_passed_on: whether it may have another provider's error within
    """
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    text = _clean(raw[:MAX_BYTES].decode("utf-8", "replace")).strip("\ufeff \t\r\n")
    parsed = _parsed(text)
    if parsed is None:
        parsed = _salvaged(text)
    if parsed is None:
        plain = text[:LONGEST_MESSAGE]
        return ErrorBody(said=_one_line(plain), text=text.lower(), plain=plain)
    return _read(parsed, text=text.lower(), layers_left=_MOST_LAYERS - 1 if is_passed_on else 0)


def _parsed(text: str) -> Any:
    """The JSON of a text: the whole of it, else what it begins with or passes on."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    found = _PASSES_ON.match(text)
    if found is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(text, found.end() - 1)[0]
    except (ValueError, RecursionError):
        return None


def _salvaged(text: str) -> dict[str, Any] | None:
    """The fields that can be made out in JSON that is cut off or broken."""
    if text[:1] not in ("{", "["):
        return None
    error: dict[str, Any] = {}
    for name in ("message", "code", "type", "status"):
        if found := re.search(rf'"{name}"\s*:\s*(?:{_STRING}|(\d{{1,9}}))', text):
            error[name] = _unescaped(found[1]) if found[1] is not None else found[2]
    return {"error": error} if error else None


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _read(parsed: Any, *, text: str, layers_left: int) -> ErrorBody:
    for _depth in range(_MOST_LAYERS):
        if not (isinstance(parsed, list) and parsed):
            break
        parsed = parsed[0]
    if isinstance(parsed, str):
        parsed = {"error": parsed}
    if not isinstance(parsed, dict):
        return ErrorBody(text=text)
    parts = tuple(_parts(parsed))
    main = _main(parsed)
    message = _message(main)
    tags = _tags(parts)
    if len(message) <= 64 and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*_[A-Za-z0-9_]*", message):
        tags |= {message.lower()}  # a code where others have a message
    inner = _inner(parts, message, layers_left) if layers_left else None
    own_words = message.partition("{")[0] if inner else message
    return ErrorBody(
        code=_word(main.get("code")),
        type=_word(main.get("type")),
        message=message,
        param=_clean(main["param"])[:LONGEST_NAME] if isinstance(main.get("param"), str) else None,
        tags=tags,
        said="\n".join([_one_line(own_words), *_quotas(parts)]),
        parts=parts,
        text=text,
        inner=inner,
        is_error=_is_error(parsed),
    )


def _main(parsed: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object with code, type and message, by those names."""
    for name in ("error", "detail"):
        found = parsed.get(name)
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict):
            return found
        if isinstance(found, str) and found:
            return {**parsed, "message": found}
    if isinstance(base := parsed.get("base_resp"), dict):
        return {"code": base.get("status_code"), "message": base.get("status_msg")}
    return {**parsed, "code": parsed["error_code"]} if "error_code" in parsed else parsed


def _message(main: Mapping[str, Any]) -> str:
    found = (main[name] for name in _MESSAGES if isinstance(main.get(name), str) and main[name])
    return _clean(next(found, ""))[:LONGEST_MESSAGE]


def _parts(root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The object and those in it that belong to an error, the outermost first; not more than a few."""
    waiting: deque[tuple[Any, int]] = deque([(root, 0)])
    count = 0
    while waiting and count < _MOST_PARTS:
        value, depth = waiting.popleft()
        if isinstance(value, dict):
            yield value
            count += 1
            held = [value[name] for name in _HOLDERS if name in value]
        else:
            held = value[:10]
        if depth < _DEEPEST:
            waiting.extend((one, depth + 1) for one in held if isinstance(one, dict | list))


def _tags(parts: tuple[Mapping[str, Any], ...]) -> frozenset[str]:
    tags: set[str] = set()
    for part in parts:
        for name in _TAGS:
            word = _word(part.get(name)).lower()
            tags.add(f"error_code.{word}" if name == "error_code" and word.isdigit() else word)
        if "status_msg" in part:
            tags.add(f"base_resp.{_word(part.get('status_code'))}")
    return frozenset(tags - {""})


def _quotas(parts: tuple[Mapping[str, Any], ...]) -> list[str]:
    return [f"quota_id={_word(part['quotaId']).lower()}" for part in parts if "quotaId" in part]


def _inner(parts: tuple[Mapping[str, Any], ...], message: str, layers_left: int) -> ErrorBody | None:
    """The error that a relay passes on, as ``metadata.raw`` or within its message."""
    for raw in (*(part["raw"] for part in parts if part.get("raw")), message):
        found = raw
        if isinstance(raw, str):
            found = _parsed(_clean(raw[:MAX_BYTES]))
        if isinstance(found, dict | list):
            inner = _read(found, text=_dumped(found), layers_left=layers_left - 1)
            if inner.tags or inner.message:
                return inner
    return None


def _dumped(found: Any) -> str:
    try:
        return json.dumps(found, ensure_ascii=False)[:MAX_BYTES].lower()
    except (ValueError, RecursionError):
        return ""


def _is_error(parsed: Mapping[str, Any]) -> bool:
    if parsed.get("error") or parsed.get("success") is False:
        return True
    base = parsed.get("base_resp")
    codes = [parsed.get("error_code"), base.get("status_code") if isinstance(base, dict) else None]
    if "message" in parsed and "choices" not in parsed:
        codes.append(parsed.get("code"))
    return any(_word(code).lower() not in _FINE for code in codes)


def _one_line(text: str) -> str:
    return " ".join(text.lower().split())


def _word(value: Any) -> str:
    """A code of any type as text: ``429`` and ``"429"`` are the same one."""
    if value is None or value is False or value in ("", [], {}):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        return _clean(str(value))[:LONGEST_NAME]
    except (ValueError, RecursionError):  # a number of thousands of digits, or what nests too deep
        return ""


def _clean(text: str) -> str:
    """Without NUL and half characters, which neither databases nor answers can hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
