"""actorllama runs llama.cpp from Python under Erlang-style supervision.

The names below are loaded when they are first used, so that importing the package costs little and
does not load llama.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorllama.lazy import on_first_use

if TYPE_CHECKING:  # the names that __getattr__ loads, for type checkers
    from actorllama.config import Config, load_config
    from actorllama.engine import Message, TextPiece, TurnResult
    from actorllama.errors import ActorLlamaError
    from actorllama.runtime import Conversation, Model, Runtime, Turn, open_runtime
    from actorllama.telemetry import Bus

__all__ = [
    "ActorLlamaError",
    "Bus",
    "Config",
    "Conversation",
    "Message",
    "Model",
    "Runtime",
    "TextPiece",
    "Turn",
    "TurnResult",
    "__version__",
    "load_config",
    "open_runtime",
]

__version__ = "0.1.0"

__getattr__ = on_first_use(
    __name__,
    {
        "ActorLlamaError": "actorllama.errors",
        "Bus": "actorllama.telemetry",
        "Config": "actorllama.config",
        "Conversation": "actorllama.runtime",
        "Message": "actorllama.engine",
        "Model": "actorllama.runtime",
        "Runtime": "actorllama.runtime",
        "TextPiece": "actorllama.engine",
        "Turn": "actorllama.runtime",
        "TurnResult": "actorllama.engine",
        "load_config": "actorllama.config",
        "open_runtime": "actorllama.runtime",
    },
)
