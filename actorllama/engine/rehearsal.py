"""What a context does late and once, done before its first turn."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from actorllama.engine.chat_template import ChatTemplate
from actorllama.errors import ChatTemplateError, DecodeError, StateError
from actorllama.kvcache import fresh_memory
from actorllama.native import InferenceContext, ModelFacts, SamplingParams, StepBatch

__all__ = ["rehearse", "rehearse_chat"]

_TOKENS: Final = (3, 10)


def rehearse(context: InferenceContext) -> None:
    """Compute two tokens, choose one, take the state out and put it back.

    The first of each of these calls allocates, imports, and learns how states look: 5 ms, a fifth of the time
    to the first token of a conversation that goes on from disk. A canary does as much by the way; where its
    verdict is remembered, nobody has. If something fails, the turn that needs it will say so.

    Args:
        context: Empty, and used by nobody yet; so it is afterwards. On the host thread.
    """
    with suppress(DecodeError, StateError):
        n = len(_TOKENS)
        context.decode(StepBatch(tokens=_TOKENS, positions=range(n), seq_ids=[0] * n, outputs=[n - 1]))
        sampler = context.new_sampler(SamplingParams(), _TOKENS)
        try:
            context.sample([sampler], [0])
        finally:
            sampler.close()
        buffer = fresh_memory(context.state_bytes(0))
        context.set_state(0, buffer[: context.get_state(0, buffer)], n_cells=n)
    context.clear_sequence(0)


def rehearse_chat(facts: ModelFacts) -> None:
    """Compile a model's chat template, if it has one, for what is loaded and built by the way.

    That is jinja2's compiler: 20 ms, and one more for each template after it. Whoever sends no messages does
    without, so this is for a process that goes on with what an earlier one began.
    """
    if facts.chat_template:
        with suppress(ChatTemplateError):  # it concerns those who send messages
            ChatTemplate(facts.chat_template, bos=facts.bos_text, eos=facts.eos_text)
