"""What the sandbox was asked: a chat request checked as OpenAI checks it, and a record of the last ones."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from sandbox.behaviours import BEHAVIOURS
from sandbox.errors import ApiError, bad_request, model_not_found, unparseable_body

MAX_CHOICES: Final = 128
MAX_COMPLETION_TOKENS: Final = 1_000_000
"""Bound of ``sandbox.completion_tokens`` and ``sandbox.chunks``, for all choices together."""

MAX_DELAY_MS: Final = 60_000
ROLES: Final = frozenset({"assistant", "developer", "function", "system", "tool", "user"})
OTHER_MODELS: Final = "(other)"
RECENT: Final = 200


@dataclass(slots=True)
class ChatRequest:
    """A valid chat request.

    ``forced_tokens``, ``forced_chunks`` and ``delay_ms`` come from the non-standard field ``sandbox``:
    ``{"completion_tokens": N, "chunks": N, "delay_ms": N}``.
    """

    model: str
    messages: list[dict[str, Any]]
    is_stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    choices: int = 1
    forced_tokens: int | None = None
    forced_chunks: int | None = None
    delay_ms: int = 0


@dataclass(slots=True)
class RequestRecord:
    """One chat request as it came in, and what became of it (``status`` 0: not answered yet)."""

    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    include_usage: bool = False
    n: int = 1
    user: str | None = None
    """The caller's own mark of it: OpenAI's field ``user``."""
    keys: list[str] = field(default_factory=list)
    status: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_disconnected: bool = False


@dataclass(slots=True)
class ModelCounter:
    """How often one model was called, and how that ended."""

    total: int = 0
    stream: int = 0
    disconnected: int = 0
    status: dict[int, int] = field(default_factory=dict)


class RequestLog:
    """Counters per model and the last requests; models that do not exist share one counter.

    :param path: a file to which each request is added, as a line of JSON, when it has ended
    :raises OSError: if the file cannot be written
    """

    def __init__(self, path: Path | None = None) -> None:
        # A line is whole in the file once its request has ended, however the process ends.
        self._file: IO[str] | None = path.open("a", buffering=1, encoding="utf-8") if path else None
        self.clear()

    def clear(self) -> None:
        self._models: dict[str, ModelCounter] = {}
        self._recent: deque[RequestRecord] = deque(maxlen=RECENT)

    def begin(self) -> RequestRecord:
        record = RequestRecord()
        self._recent.append(record)
        return record

    def end(self, record: RequestRecord) -> None:
        name = record.model if record.model in BEHAVIOURS else OTHER_MODELS
        counter = self._models.setdefault(name or OTHER_MODELS, ModelCounter())
        counter.total += 1
        counter.stream += record.stream
        counter.disconnected += record.is_disconnected
        counter.status[record.status] = counter.status.get(record.status, 0) + 1
        if self._file is not None:
            self._file.write(json.dumps(asdict(record)) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """Describe it as ``GET /sandbox/requests`` shows it; finished requests are counted."""
        models = {name: asdict(counter) for name, counter in sorted(self._models.items())}
        return {
            "total": sum(counter.total for counter in self._models.values()),
            "disconnected": sum(counter.disconnected for counter in self._models.values()),
            "models": models,
            "recent": [asdict(record) for record in self._recent],
        }


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object.

    :raises ApiError: 400, if it is not one
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise unparseable_body() from None
    if not isinstance(body, dict):
        raise unparseable_body()
    return body


def parse_chat(body: Mapping[str, Any], record: RequestRecord) -> ChatRequest:
    """Check a chat request and note its parameters in the record.

    :raises ApiError: 400 naming the parameter at fault, or 404 ``model_not_found``
    """
    record.keys = [key[:64] for key in sorted(body)[:64]]
    user = body.get("user")
    record.user = user[:64] if isinstance(user, str) else None
    model = body.get("model")
    if model is None:
        raise bad_request("you must provide a model parameter")
    if not isinstance(model, str):
        raise _wrong_type("model", "a string", model)
    record.model = model[:200]
    is_stream = record.stream = _boolean(body, "stream")
    include_usage = record.include_usage = _include_usage(body, is_stream=is_stream)
    max_tokens = record.max_tokens = _max_tokens(body)
    choices = record.n = _integer(body, "n", maximum=MAX_CHOICES) or 1
    messages = _messages(body)
    forced = _sandbox_field(body, choices)
    if model not in BEHAVIOURS:
        raise model_not_found(record.model)
    return ChatRequest(
        model=model,
        messages=messages,
        is_stream=is_stream,
        include_usage=include_usage,
        max_tokens=max_tokens,
        choices=choices,
        forced_tokens=forced[0],
        forced_chunks=forced[1],
        delay_ms=forced[2],
    )


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    if messages is None:
        raise bad_request(
            "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise bad_request(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty "
            "array instead.",
            param="messages",
            code="empty_array",
        )
    for index, message in enumerate(messages):
        _check_message(f"messages[{index}]", message)
    return messages


def _check_message(where: str, message: object) -> None:
    if not isinstance(message, dict):
        raise _wrong_type(where, "an object", message)
    role = message.get("role")
    if not isinstance(role, str):
        raise _wrong_type(f"{where}.role", "a string", role)
    if role not in ROLES:
        raise bad_request(
            f"Invalid value: '{role[:64]}'. Supported values are: {', '.join(map(repr, sorted(ROLES)))}.",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = message.get("content")
    if isinstance(content, str):
        return
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(f"{where}.content[{index}]", part)
    elif content is not None or role != "assistant":
        raise _wrong_type(f"{where}.content", "one of a string or array of objects", content)


def _check_part(where: str, part: object) -> None:
    if not isinstance(part, dict):
        raise _wrong_type(where, "an object", part)
    kind = part.get("type")
    if not isinstance(kind, str):
        raise _wrong_type(f"{where}.type", "a string", kind)
    if kind == "text" and not isinstance(part.get("text"), str):
        raise _wrong_type(f"{where}.text", "a string", part.get("text"))


def _include_usage(body: Mapping[str, Any], *, is_stream: bool) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise _wrong_type("stream_options", "an object", options)
    if not is_stream:
        raise bad_request(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    return _boolean(options, "include_usage", where="stream_options.")


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    older = _integer(body, "max_tokens")
    newer = _integer(body, "max_completion_tokens")
    if older is not None and newer is not None:
        raise bad_request(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    return newer if older is None else older


def _sandbox_field(body: Mapping[str, Any], choices: int) -> tuple[int | None, int | None, int]:
    options = body.get("sandbox")
    if options is None:
        return None, None, 0
    if not isinstance(options, dict):
        raise _wrong_type("sandbox", "an object", options)
    limit = MAX_COMPLETION_TOKENS // choices
    return (
        _integer(options, "completion_tokens", maximum=limit, where="sandbox."),
        _integer(options, "chunks", maximum=limit, where="sandbox."),
        _integer(options, "delay_ms", minimum=0, maximum=MAX_DELAY_MS, where="sandbox.") or 0,
    )


def _boolean(values: Mapping[str, Any], name: str, *, where: str = "") -> bool:
    value = values.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong_type(where + name, "a boolean", value)
    return value


def _integer(
    values: Mapping[str, Any], name: str, *, minimum: int = 1, maximum: int | None = None, where: str = ""
) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(where + name, "an integer", value)
    if value < minimum:
        raise _out_of_range(where + name, "below minimum", f">= {minimum}", value)
    if maximum is not None and value > maximum:
        raise _out_of_range(where + name, "above maximum", f"<= {maximum}", value)
    return value


def _out_of_range(param: str, problem: str, expected: str, value: int) -> ApiError:
    code = "integer_below_min_value" if problem.startswith("below") else "integer_above_max_value"
    return bad_request(
        f"Invalid '{param}': integer {problem} value. Expected a value {expected}, but got {value} instead.",
        param=param,
        code=code,
    )


def _wrong_type(param: str, expected: str, value: object) -> ApiError:
    return bad_request(
        f"Invalid type for '{param}': expected {expected}, but got {_describe(value)} instead.",
        param=param,
        code="invalid_type",
    )


def _describe(value: object) -> str:
    names: dict[type, str] = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "null")
