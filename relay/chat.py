"""``/v1/chat/completions`` requests: what we check before anything is spent, and what we send on."""

import codecs
import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django.utils.translation import gettext_lazy as _

from relay.errors import InvalidRequestError, dump
from relay.token_counts import bound_prompt, rough_prompt

_MAX_INT = 2**31 - 1
_MAX_CHOICES = 128
_LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
_ONLY_COMPLETION_LIMIT = ("o1", "o3", "o4", "gpt-5")
"""Families that refuse ``max_tokens``. Source: platform.openai.com/docs/api-reference/chat/create."""


@dataclass(slots=True, kw_only=True)
class ChatRequest:
    """A checked request; ``body`` is the caller's, with everything we do not look at."""

    body: dict[str, Any]
    model: str
    is_stream: bool
    wants_usage: bool
    """Whether the caller asked for the stream's usage chunk."""
    output_limit: int | None
    """The caller's own limit for each choice."""
    choices: int
    _prompt_bounds: dict[str, int] = field(default_factory=dict, init=False, compare=False)

    def prompt_bound(self, model: str) -> int:
        """The most tokens that the prompt can have for a model, counted once.

        The relay asks for it before the transaction that admits the call, so that no lock is held while
        a long prompt is counted; only a channel that maps the model to another vocabulary counts again.
        """
        if model not in self._prompt_bounds:
            self._prompt_bounds[model] = bound_prompt(body=self.body, model=model)
        return self._prompt_bounds[model]

    def rough_prompt(self, model: str) -> int:
        """About how many tokens the prompt has for a model, without counting it once more."""
        return rough_prompt(bound=self.prompt_bound(model), model=model)

    def upstream_body(self, *, served_model: str, output_limit: int | None) -> bytes:
        """The body for a channel: its name of the model, usage always reported, a limit where we need one."""
        body = {**self.body, "model": served_model}
        if self.is_stream:
            body["stream_options"] = {**(self.body.get("stream_options") or {}), "include_usage": True}
        if output_limit is not None:
            name = (
                "max_completion_tokens" if served_model.startswith(_ONLY_COMPLETION_LIMIT) else "max_tokens"
            )
            body[name] = output_limit
        return dump(body)


def parse_chat_request(raw: bytes) -> ChatRequest:
    """Check what decides about money; the provider checks the rest.

    :raises InvalidRequestError: naming the place or the field that is wrong
    """
    body = _parse_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= 128:
        _refuse(_("“model” must be a text of 1 to 128 characters."), "model")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        _refuse(_("“messages” must be a list of one or more objects."), "messages")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        _refuse(_("“stream_options” must be an object."), "stream_options")
    is_stream = _boolean(body, "stream")
    if options is not None and not is_stream:
        _refuse(_("“stream_options” is only allowed when “stream” is true."), "stream_options")
    limits = [limit for name in _LIMIT_FIELDS if (limit := _integer(body, name, _MAX_INT)) is not None]
    return ChatRequest(
        body=body,
        model=model,
        is_stream=is_stream,
        wants_usage=bool(options and options.get("include_usage")),
        output_limit=max(limits, default=None),
        choices=_integer(body, "n", _MAX_CHOICES) or 1,
    )


def _parse_object(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        _refuse(_("The request's body is empty; send a JSON object."))
    try:
        body = _DECODER.decode(raw.decode())
    except UnicodeDecodeError as exc:
        _refuse(_("The request's body is not UTF-8 text: byte %(at)s is wrong."), at=exc.start)
    except json.JSONDecodeError as exc:
        _refuse(
            _("The request's body is not valid JSON: line %(line)s, column %(column)s: %(why)s."),
            line=exc.lineno,
            column=exc.colno,
            why="Unexpected UTF-8 BOM" if raw.startswith(codecs.BOM_UTF8) else exc.msg,
        )
    except (RecursionError, ValueError):
        _refuse(_("The request's body is JSON that nests too deep or has a number that is too long."))
    if not isinstance(body, dict):
        _refuse(_("The request's body must be a JSON object."))
    return body


def _refuse_constant(name: str) -> NoReturn:
    _refuse(_("%(name)s is not valid JSON."), name=name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _boolean(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        _refuse(_("“%(name)s” must be true or false."), name, name=name)
    return bool(value)


def _integer(body: dict[str, Any], name: str, highest: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= highest:
        _refuse(
            _("“%(name)s” must be a whole number from 1 to %(highest)s."), name, name=name, highest=highest
        )
    return value


def _refuse(reason: Any, param: str | None = None, **names: Any) -> NoReturn:
    raise InvalidRequestError(reason=reason, param=param, **names)
