"""What a turn on the fake backend must bring, computed the slow and obvious way."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from attrs import frozen

from actorllama.engine import FinishReason
from actorllama.native import SamplingParams
from actorllama.testing.fake_language import END, END_OF_TURN, FakeLanguage
from actorllama.testing.fake_sampler import FakeSampler

__all__ = ["ExpectedTurn", "expected_turn"]


@frozen(kw_only=True)
class ExpectedTurn:
    """The outcome of a turn that nobody disturbs."""

    tokens: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    stop: str | None


def expected_turn(
    language: FakeLanguage,
    prompt: Sequence[int],
    sampling: SamplingParams,
    *,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    ctx_per_seq: int,
) -> ExpectedTurn:
    """Take a turn alone, one token at a time, without batches, chunks, threads or sequences.

    Args:
        language: The model.
        prompt: Token ids, shape ``(n_prompt,)``.
        sampling: As given to the turn.
        max_tokens: As given to the turn.
        stop: As given to the turn.
        ctx_per_seq: Cells of a sequence.
    """
    sampler = FakeSampler(sampling, prompt, on_freed=lambda: None)
    cells = array("q", [number for pair in enumerate(prompt) for number in pair])
    tokens: list[int] = []
    data = b""
    while True:
        token = sampler.choose(language.logits(cells))
        tokens.append(token)
        if token in (END, END_OF_TURN):
            return _outcome(tokens, data, "end")
        data += language.piece(token)
        found = _first_stop(_whole(data), stop)
        if found is not None:
            at, text = found
            return ExpectedTurn(tokens=tuple(tokens), text=_whole(data)[:at], finish_reason="stop", stop=text)
        if max_tokens is not None and len(tokens) >= max_tokens:
            return _outcome(tokens, data, "length")
        if len(cells) // 2 >= ctx_per_seq:
            return _outcome(tokens, data, "context")
        cells.extend((len(cells) // 2, token))


def _outcome(tokens: list[int], data: bytes, reason: FinishReason) -> ExpectedTurn:
    return ExpectedTurn(tokens=tuple(tokens), text=_whole(data), finish_reason=reason, stop=None)


def _first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Find the leftmost stop string, of two at one place the longer one."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    return (min(found)[0], min(found)[2]) if found else None


def _whole(data: bytes) -> str:
    """Decode what is whole: bytes at the end that may still become a character are no text yet."""
    for n in range(1, min(3, len(data)) + 1):
        if _is_unfinished(data[-n:]):
            return data[:-n].decode(errors="replace")
    return data.decode(errors="replace")


def _is_unfinished(tail: bytes) -> bool:
    try:
        tail.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.start == 0
    return False
