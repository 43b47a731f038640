"""Answers: which words, in how many chunks, and their JSON and event-stream forms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring
from typing import Any, Final

from sandbox.asgi import encode
from sandbox.requests import ChatRequest
from sandbox.tokens import content_text, count_prompt, split_text

ECHO_TOKENS: Final = 4096
"""An answer of its own accord is at most this long."""

_ECHO_CHARACTERS: Final = 16_384
_NOTHING_SAID: Final = ["(nothing)"]
_FILLER: Final = " word"


@dataclass(slots=True)
class Completion:
    """An answer; every one of its choices is the same.

    ``chunks`` are the pieces of text a stream sends one by one, ``chunk_tokens`` the tokens in each.
    """

    id: str
    created: int
    model: str
    chunks: Sequence[str]
    chunk_tokens: Sequence[int]
    is_cut: bool
    choices: int
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """The tokens of all choices together."""
        return sum(self.chunk_tokens) * self.choices

    @property
    def finish_reason(self) -> str:
        return "length" if self.is_cut else "stop"


def complete(request: ChatRequest, *, id: str, created: int) -> Completion:  # noqa: A002  OpenAI's name
    """Answer with the last words of the last user message.

    As many as ``max_tokens`` allows; a forced length longer than the message is filled up with a fixed word.
    """
    pieces, is_cut = _pieces(request)
    chunks: Sequence[str] = pieces
    chunk_tokens: Sequence[int] = [1] * len(pieces)
    if request.forced_chunks is not None and request.forced_chunks != len(pieces):
        total = request.forced_chunks
        bounds = [index * len(pieces) // total for index in range(total + 1)]
        chunks = ["".join(pieces[bounds[i] : bounds[i + 1]]) for i in range(total)]
        chunk_tokens = [bounds[i + 1] - bounds[i] for i in range(total)]
    return Completion(
        id=id,
        created=created,
        model=request.model,
        chunks=chunks,
        chunk_tokens=chunk_tokens,
        is_cut=is_cut,
        choices=request.choices,
        prompt_tokens=count_prompt(request.messages),
    )


def usage_json(completion: Completion) -> str:
    prompt, answer = completion.prompt_tokens, completion.completion_tokens
    return (
        f'{{"prompt_tokens":{prompt},"completion_tokens":{answer},"total_tokens":{prompt + answer},'
        '"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        '"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
        '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
    )


def completion_json(completion: Completion, *, has_usage: bool) -> bytes:
    """Write the whole answer as a ``chat.completion`` object."""
    text = encode_basestring("".join(completion.chunks))
    choices = ",".join(
        f'{{"index":{index},"message":{{"role":"assistant","content":{text},"refusal":null,"annotations":[]}},'
        f'"logprobs":null,"finish_reason":"{completion.finish_reason}"}}'
        for index in range(completion.choices)
    )
    usage = f',"usage":{usage_json(completion)}' if has_usage else ""
    return encode(
        f'{{"id":"{completion.id}","object":"chat.completion","created":{completion.created},'
        f'"model":"{completion.model}","choices":[{choices}]{usage},"service_tier":"default",'
        '"system_fingerprint":"fp_sandbox"}'
    )


class EventStream:
    """Writes an answer as ``chat.completion.chunk`` events.

    When usage was asked for, every chunk says ``"usage":null`` and one more, without choices, has it.
    """

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._completion = completion
        self._include_usage = include_usage
        self._head = (
            f'data: {{"id":"{completion.id}","object":"chat.completion.chunk","created":{completion.created},'
            f'"model":"{completion.model}","service_tier":"default","system_fingerprint":"fp_sandbox","choices":['
        )
        self._tail = ',"usage":null}\n\n' if include_usage else "}\n\n"

    def opening(self) -> str:
        """The chunks that name the role, one per choice."""
        return self._event('{"role":"assistant","content":"","refusal":null}', "null")

    def contents(self, chunks: int) -> Iterator[tuple[str, int]]:
        """The first pieces of text as events, one per choice, with the tokens in them."""
        completion = self._completion
        template = self._event('{"content":\0}', "null").split("\0")
        pairs = zip(completion.chunks, completion.chunk_tokens, strict=True)
        for chunk, tokens in islice(pairs, chunks):
            yield encode_basestring(chunk).join(template), tokens * completion.choices

    def closing(self) -> str:
        """The chunks that say why it ended, the usage if asked for, and the end mark."""
        end = self._event("{}", f'"{self._completion.finish_reason}"')
        usage = f'{self._head}],"usage":{usage_json(self._completion)}}}\n\n' if self._include_usage else ""
        return f"{end}{usage}data: [DONE]\n\n"

    def _event(self, delta: str, finish_reason: str) -> str:
        return "".join(
            f'{self._head}{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}]'
            f"{self._tail}"
            for index in range(self._completion.choices)
        )


def _pieces(request: ChatRequest) -> tuple[list[str], bool]:
    """Return the answer in pieces of one token, and whether ``max_tokens`` cut it."""
    echo = split_text(_last_words(request.messages)) or _NOTHING_SAID
    wanted = request.forced_tokens or min(len(echo), ECHO_TOKENS)
    length = wanted if request.max_tokens is None else min(wanted, request.max_tokens)
    pieces = echo[-length:]
    pieces[0] = pieces[0].lstrip()
    pieces += [_FILLER] * (length - len(pieces))
    return pieces, length < wanted


def _last_words(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the end of the last user message, or of the last message when no user speaks."""
    spoken = next((message for message in reversed(messages) if message["role"] == "user"), messages[-1])
    return content_text(spoken.get("content"))[-_ECHO_CHARACTERS:]
