"""What one turn asks for, checked as a whole before it is queued."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from actorllama.engine.turn_record import TurnRecord
from actorllama.errors import ContextFull, RequestError
from actorllama.native import ContextFacts, SamplingParams, Vocabulary

__all__ = ["TurnRequest", "check_request"]

_MAX_STOPS = 64
_MAX_STOP_CHARS = 1024


@frozen(kw_only=True)
class TurnRequest:
    """A turn that a model actor can admit: every field is within its bounds."""

    prompt: tuple[int, ...]
    """Token ids, shape ``(n_prompt,)``."""
    sampling: SamplingParams
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    keep: bool = False
    """Whether the turn's state is saved at its end."""
    record: TurnRecord | None = None
    """Sampler and undecided text of an earlier turn to go on with; ``prompt`` is then all of its tokens."""
    cache_salt: str = ""
    """Turns share what was computed only with turns of the same salt."""
    label: str = ""
    """Words for people, about whom the turn belongs to; they are saved with it, and nowhere else."""
    past: tuple[int, ...] = ()
    """Marked tokens (`lineage.py`) of the cells that the turn before had; fewer than ``prompt`` has."""

    @property
    def goes_on(self) -> bool:
        """Whether this continues an earlier turn: its cells matter for exactness, not only for time."""
        return self.record is not None or bool(self.past)

    @property
    def n_past(self) -> int:
        """Cells that the turn before had: computed again they are not the same."""
        return len(self.past)

    @property
    def marked(self) -> tuple[int, ...]:
        """The prompt as its cells are looked for: the past as it was computed, the rest as a prompt."""
        return (*self.past, *self.prompt[len(self.past) :])

    @property
    def n_reusable(self) -> int:
        """Cells that can be had without computing them, at most.

        One token must be left over to produce logits. Where a prompt is computed at least two are, for one
        alone is another row (`lineage.py`); but a past is had whole.
        """
        return max(self.n_past, len(self.prompt) - 2, 0)


def check_request(
    *,
    prompt: Sequence[int],
    sampling: SamplingParams,
    max_tokens: int | None,
    stop: str | Sequence[str],
    keep: bool = False,
    is_resumed: bool = False,
    vocabulary: Vocabulary,
    context: ContextFacts,
) -> TurnRequest:
    """Refuse what cannot be done, before it waits in a queue or reaches C.

    Raises:
        RequestError: A parameter is out of bounds; the message says which.
        ContextFull: The prompt leaves no room for a single new token.
    """
    # The last token of a saved turn was chosen without a cell; it may take the last one now.
    if len(prompt) - is_resumed >= context.ctx_per_seq:
        raise ContextFull(n_tokens=len(prompt) + 1, n_ctx=context.ctx_per_seq)
    tokens = _checked_tokens(prompt, vocabulary.n_vocab)
    if max_tokens is not None and (isinstance(max_tokens, bool) or not isinstance(max_tokens, int)):
        raise RequestError(field="max_tokens", value=max_tokens, reason="must be an integer")
    if max_tokens is not None and max_tokens < 1:
        raise RequestError(field="max_tokens", value=max_tokens, reason="must be at least 1")
    return TurnRequest(
        prompt=tokens,
        sampling=sampling.checked(n_vocab=vocabulary.n_vocab),
        max_tokens=max_tokens,
        stop=_checked_stops(stop),
        keep=keep,
    )


def _checked_tokens(prompt: Sequence[int], n_vocab: int) -> tuple[int, ...]:
    tokens = tuple(prompt)
    if not tokens:
        raise RequestError(field="prompt", value="", reason="is empty: a model continues at least one token")
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < n_vocab:
            raise RequestError(field="prompt", value=token, reason=f"token ids are 0 to {n_vocab - 1}")
    return tokens


def _checked_stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(stop, Iterable):
        raise RequestError(field="stop", value=stop, reason="must be text or a sequence of texts")
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if len(stops) > _MAX_STOPS:
        raise RequestError(field="stop", value=len(stops), reason=f"at most {_MAX_STOPS} stop strings")
    for item in stops:
        if not isinstance(item, str) or not item:
            raise RequestError(field="stop", value=item, reason="stop strings are non-empty text")
        if len(item) > _MAX_STOP_CHARS:
            raise RequestError(field="stop", value=item, reason=f"at most {_MAX_STOP_CHARS} characters each")
    return stops
