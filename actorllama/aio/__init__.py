"""The same verbs for asyncio programs and for scripts.

::

    async with aio.open_runtime() as rt:  # in a notebook, too
        model = await rt.load("chat", "model.gguf")
        async with model.stream("Once upon a time", max_tokens=64) as turn:
            async for piece in turn:
                print(piece.text, end="")

    with aio.open_blocking_runtime() as rt:  # no loop, no await
        print(rt.load("chat", "model.gguf").complete("Once upon a time", max_tokens=64).text)

**What lives here.** ``runtime.py``: `open_runtime` and `AsyncRuntime`; ``model.py``, ``conversation.py``,
``turn.py``: what it gives out. ``blocking_*.py``: the same without ``await``. Under them: ``portal.py``, the
trio side; ``bridge.py`` and ``blocking_bridge.py``, the two ways to it; ``job.py``, ``ending.py``,
``inbox.py``, ``reader.py``, ``waiting.py``: what crosses, and who waits for it.

**Who owns it and what always holds.** The loop, or the thread, that opened a runtime owns its portal.
Every job tells its end once, whatever ends it: done, failed as it was on the trio side, cancelled from
here, or `RuntimeClosed` because the trio run is over. Cancelling a waiter cancels its job and waits until
that has ended; a caller that vanished has its jobs cancelled. A turn runs ahead of its reader by its
window and no further. No thread, task or turn outlives the block that opened the runtime.

**What it may import.** ``runtime`` and below; ``asyncio``, which nobody else may.

**Why this way, and what we refused.** All state of a job is changed where its inbox is read, by actions
that the trio side posts: no locks, and one wake-up of a loop for all that came meanwhile. We refused to
step trio and asyncio in one task (anyio): the runtime is trio through and through; to cancel a task whose
turn failed: in a generator that a web framework iterates it would hit the framework; and a hop per token.

**Read next.** ``runtime.py``, then ``portal.py``.
"""

from __future__ import annotations

from actorllama.aio.blocking_conversation import BlockingConversation
from actorllama.aio.blocking_model import BlockingModel
from actorllama.aio.blocking_runtime import BlockingRuntime, open_blocking_runtime
from actorllama.aio.blocking_turn import BlockingTurn
from actorllama.aio.conversation import AsyncConversation
from actorllama.aio.model import AsyncModel
from actorllama.aio.runtime import AsyncRuntime, open_runtime
from actorllama.aio.turn import AsyncTurn

__all__ = [
    "AsyncConversation",
    "AsyncModel",
    "AsyncRuntime",
    "AsyncTurn",
    "BlockingConversation",
    "BlockingModel",
    "BlockingRuntime",
    "BlockingTurn",
    "open_blocking_runtime",
    "open_runtime",
]
