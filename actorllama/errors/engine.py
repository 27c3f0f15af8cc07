"""Errors of models and turns."""

from __future__ import annotations

from actorllama.errors.base import ActorLlamaError

__all__ = [
    "Busy",
    "ChatTemplateError",
    "ContextFull",
    "DecodeError",
    "EngineError",
    "ModelAlreadyLoaded",
    "ModelLoadError",
    "ModelNotLoaded",
    "ModelUnavailable",
    "NoFreeSlot",
    "StateError",
    "TurnCancelled",
    "TurnTimeout",
]


class EngineError(ActorLlamaError):
    """A model could not be loaded, or a turn could not be taken."""


class ModelLoadError(EngineError):
    """A model file cannot be used; nothing of it stays in memory."""

    def __init__(
        self, *, path: str, reason: str, hint: str = "Give the path of a readable GGUF file."
    ) -> None:
        """Name the file and what is wrong with it."""
        self.path = path
        self.reason = reason
        super().__init__(f"cannot load {path}: {reason}. {hint}")


class ModelNotLoaded(EngineError, LookupError):
    """No model is loaded under this name."""

    def __init__(self, *, model: str, loaded: tuple[str, ...], reason: str = "") -> None:
        """Name the model asked for, and those there are, or why it is not there any more."""
        self.model = model
        self.loaded = loaded
        self.reason = reason
        about = reason or f"loaded: {', '.join(loaded) or 'none'}"
        super().__init__(f"no model is loaded as {model!r} ({about}). Call load() first.")


class ModelAlreadyLoaded(EngineError):
    """The name is in use by another loaded model."""

    def __init__(self, *, model: str) -> None:
        """Name the model."""
        self.model = model
        super().__init__(f"a model is already loaded as {model!r}. Unload it, or choose another name.")


class ModelUnavailable(EngineError):
    """The model's actor is gone, unloading, or being rebuilt after a crash."""

    def __init__(self, *, model: str, reason: str) -> None:
        """Name the model and why it cannot take the turn."""
        self.model = model
        self.reason = reason
        super().__init__(f"model {model!r} cannot take this turn: {reason}. Try again, or load it again.")


class ContextFull(EngineError):
    """The prompt, or the prompt and what it asks for, does not fit."""

    def __init__(self, *, n_tokens: int, n_ctx: int) -> None:
        """Give both sizes, in tokens."""
        self.n_tokens = n_tokens
        self.n_ctx = n_ctx
        super().__init__(
            f"the turn needs {n_tokens} tokens and a sequence holds {n_ctx}. "
            "Shorten the prompt, or load the model with a larger ctx_per_seq."
        )


class NoFreeSlot(EngineError):
    """Every sequence of the context is in use."""

    def __init__(self, *, n_slots: int) -> None:
        """Give the number of slots."""
        self.n_slots = n_slots
        super().__init__(
            f"all {n_slots} slots are in use. Wait for a turn to end, or load with a larger n_seq."
        )


class Busy(EngineError):
    """The admission queue is full, or memory is short; the turn was not taken."""

    def __init__(self, *, model: str, n_queued: int, capacity: int, reason: str = "") -> None:
        """Name the model and the bound, or the reason if it is another."""
        self.model = model
        self.n_queued = n_queued
        self.capacity = capacity
        self.reason = reason
        if reason:
            super().__init__(f"model {model!r} takes no turns now: {reason}. Try again later.")
            return
        super().__init__(
            f"model {model!r} has {n_queued} turns waiting and queues at most {capacity}. "
            "Try again later, or raise queue_capacity."
        )


class TurnTimeout(EngineError, TimeoutError):
    """The turn's deadline passed; its sequence is free again."""

    def __init__(self, *, turn_id: int, timeout_s: float) -> None:
        """Name the turn and the deadline."""
        self.turn_id = turn_id
        self.timeout_s = timeout_s
        super().__init__(
            f"turn {turn_id} did not end within {timeout_s} s. Raise timeout_s or lower max_tokens."
        )


class TurnCancelled(EngineError):
    """The turn was stopped by somebody else than the one who waits for it."""

    def __init__(self, *, turn_id: int, reason: str) -> None:
        """Name the turn and who stopped it."""
        self.turn_id = turn_id
        self.reason = reason
        super().__init__(
            f"turn {turn_id} was cancelled: {reason}. Take the turn again if it is still wanted."
        )


class ChatTemplateError(EngineError):
    """The model has no usable chat template, or the template refused the messages."""

    def __init__(self, *, reason: str) -> None:
        """Say what the template complained about."""
        self.reason = reason
        super().__init__(f"chat template: {reason}. Change the messages, or pass a plain prompt.")


class StateError(EngineError):
    """A sequence operation or a saved state was refused before it reached llama.cpp."""

    def __init__(
        self,
        *,
        operation: str,
        reason: str,
        hint: str = "The sequence is as it was; compute the prefix again.",
    ) -> None:
        """Name the operation, why it was refused, and how things stand now."""
        self.operation = operation
        self.reason = reason
        super().__init__(f"{operation} refused: {reason}. {hint}")


class DecodeError(EngineError):
    """``llama_decode`` failed."""

    def __init__(self, *, code: int, is_retryable: bool) -> None:
        """Keep the native code: 1 no room, 2 aborted, -1 bad batch, below -1 fatal."""
        self.code = code
        self.is_retryable = is_retryable
        advice = "Try again." if is_retryable else "The context is rebuilt; take the turn again."
        super().__init__(f"llama_decode returned {code}. {advice}")
