"""The public face: open a runtime, load a model, take a turn.

**What lives here.** ``runtime.py``: `open_runtime` and `Runtime` (load, unload, models). ``model.py``:
`Model` (complete, stream, resume, conversation). ``conversation.py``: `Conversation`; beside it, what it
remembers (``conversation_turn.py``) and how its next prompt is made (``conversation_prompt.py``).
``turn.py``: a turn that is read while it runs. ``load_options.py``, ``sampling_options.py``,
``prompting.py``: what callers write, checked and translated. ``gauges.py``: reading how a model stands.
``observer.py`` and its neighbours: an actor, last in the tree, that lets others watch.
``switch_interval.py``: how long other threads may keep the engine waiting for the interpreter.
``generated_source.py``: text of generated methods, which goes. ``event_loop.py``: a refusal where trio
does not run.

**Who owns it and what always holds.** The runtime owns the actor system; its end ends everything, in
order and in bounded time. Handles name models, not processes: they survive a crash and a restart of
the actor behind them. Every failure has a type of ``actorllama.errors``.

**What it may import.** Everything below: ``config``, ``engine``, ``actors``, ``native``.

**Why this way, and what we refused.** A turn is one call to the model's actor whose reply comes when
the turn has ended: the kernel then guarantees that the caller hears of the actor's death, however it
dies. We refused handles that hold native memory: they would dangle after a restart.

**Read next.** ``runtime.py``, then ``model.py``.
"""

from __future__ import annotations

from actorllama.runtime.conversation import Conversation
from actorllama.runtime.load_options import LoadOptions
from actorllama.runtime.model import Model
from actorllama.runtime.runtime import Runtime, open_runtime
from actorllama.runtime.sampling_options import SamplingOptions
from actorllama.runtime.turn import Turn
from actorllama.runtime.verify import VerifyReport, verify_model

__all__ = [
    "Conversation",
    "LoadOptions",
    "Model",
    "Runtime",
    "SamplingOptions",
    "Turn",
    "VerifyReport",
    "open_runtime",
    "verify_model",
]
