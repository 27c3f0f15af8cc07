"""Every error that actorllama raises, in one tree.

::

    ActorLlamaError
    ├─ ConfigError (ValueError)               .field .value .source
    ├─ RequestError (ValueError)              .field .value .reason
    ├─ ActorError
    │  ├─ ActorNotFound (LookupError)         .name
    │  ├─ NameTaken                           .name
    │  ├─ MailboxFull                         .ref .capacity
    │  ├─ ActorExited                         .ref .reason
    │  ├─ StartRefused                        .child .reason
    │  ├─ CallingSelf                         .ref
    │  ├─ CallTimeout (TimeoutError)          .ref .timeout_s
    │  ├─ BadReturn                           .callback .value
    │  ├─ BadTransition                       .machine .source .event .target
    │  ├─ ChildConflict                       .child .state
    │  ├─ ChildNotFound (LookupError)         .child
    │  ├─ TooManyChildren                     .n_children .max_children
    │  ├─ NotJoined (LookupError)             .group .ref
    │  └─ RestartIntensityReached             .child .n_restarts .period_s
    ├─ EngineError
    │  ├─ ModelLoadError                      .path .reason
    │  ├─ ModelNotLoaded (LookupError)        .model .loaded
    │  ├─ ModelAlreadyLoaded                  .model
    │  ├─ ModelUnavailable                    .model .reason
    │  ├─ ContextFull                         .n_tokens .n_ctx
    │  ├─ NoFreeSlot                          .n_slots
    │  ├─ Busy                                .model .n_queued .capacity
    │  ├─ TurnTimeout (TimeoutError)          .turn_id .timeout_s
    │  ├─ TurnCancelled                       .turn_id .reason
    │  ├─ ChatTemplateError                   .reason
    │  ├─ StateError                          .operation .reason
    │  └─ DecodeError                         .code .is_retryable
    └─ CacheError
       ├─ SnapshotCorrupt                     .key .path .section
       ├─ SnapshotMismatch                    .expected .actual
       └─ TierFull                            .tier .needed_bytes .limit_bytes

Attributes come first, the message is built from them, and its last sentence says what to do.
Errors that an actor's caller can cause are replies; errors that make our own state doubtful crash
the actor (see ``actorllama/actors/__init__.py``).
"""

from __future__ import annotations

__all__ = [
    "ActorError",
    "ActorExited",
    "ActorLlamaError",
    "ActorNotFound",
    "BadReturn",
    "BadTransition",
    "Busy",
    "CacheError",
    "CallTimeout",
    "CallingSelf",
    "ChatTemplateError",
    "ChildConflict",
    "ChildNotFound",
    "ConfigError",
    "ContextFull",
    "DecodeError",
    "EngineError",
    "MailboxFull",
    "ModelAlreadyLoaded",
    "ModelLoadError",
    "ModelNotLoaded",
    "ModelUnavailable",
    "NameTaken",
    "NoFreeSlot",
    "NotJoined",
    "RequestError",
    "RestartIntensityReached",
    "SnapshotCorrupt",
    "SnapshotMismatch",
    "StartRefused",
    "StateError",
    "TierFull",
    "TooManyChildren",
    "TurnCancelled",
    "TurnTimeout",
]


class ActorLlamaError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(ActorLlamaError, ValueError):
    """A setting is unknown, unparsable or out of bounds."""

    def __init__(self, *, field: str, value: object, source: str, hint: str = "") -> None:
        """Name the field, the value and where it came from."""
        self.field = field
        self.value = value
        self.source = source
        advice = hint or "See config/default.toml for the known fields and their bounds."
        super().__init__(f"{field} = {value!r} (from {source}) is not usable. {advice}")


class RequestError(ActorLlamaError, ValueError):
    """A parameter of one request is not usable; the next request is not affected."""

    def __init__(self, *, field: str, value: object, reason: str) -> None:
        """Name the parameter, its value and the bound that it breaks."""
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"{field} = {_short(value)}: {reason}")


class ActorError(ActorLlamaError):
    """An actor could not be reached, started, or asked."""


class ActorNotFound(ActorError, LookupError):
    """No live actor has this name."""

    def __init__(self, *, name: str) -> None:
        """Name the missing actor."""
        self.name = name
        super().__init__(f"no actor is registered as {name!r}. Start it, or look at system.tree().")


class NameTaken(ActorError):
    """Another live actor already has this name."""

    def __init__(self, *, name: str, ref: object = None) -> None:
        """Name the holder."""
        self.name = name
        self.ref = ref
        super().__init__(f"the name {name!r} is held by {ref!r}. Use that actor, or stop it first.")


class MailboxFull(ActorError):
    """A ``_nowait`` send found no room."""

    def __init__(self, *, ref: object, capacity: int) -> None:
        """Name the receiver and its bound."""
        self.ref = ref
        self.capacity = capacity
        super().__init__(f"the mailbox of {ref!r} holds {capacity} messages. Await cast(), or slow down.")


class ActorExited(ActorError):
    """The callee died before it replied, or was dead already."""

    def __init__(self, *, ref: object, reason: object) -> None:
        """Name the callee and its exit reason."""
        self.ref = ref
        self.reason = reason
        super().__init__(f"{ref!r} exited before it replied: {reason}. Its supervisor decides on a restart.")


class StartRefused(ActorError):
    """An actor's ``init`` refused, raised, or ran out of time."""

    def __init__(self, *, child: str, reason: object) -> None:
        """Name the child and the reason that it gave."""
        self.child = child
        self.reason = reason
        super().__init__(f"{child} did not start: {reason}. Mend the cause and start it again.")


class CallingSelf(ActorError):
    """An actor called itself, which could only deadlock."""

    def __init__(self, *, ref: object) -> None:
        """Name the actor."""
        self.ref = ref
        super().__init__(f"{ref!r} called itself. Call the method directly, or cast to yourself.")


class CallTimeout(ActorError, TimeoutError):
    """No reply came in time; the callee goes on, its late reply is dropped."""

    def __init__(self, *, ref: object, timeout_s: float) -> None:
        """Name the callee and the deadline."""
        self.ref = ref
        self.timeout_s = timeout_s
        super().__init__(
            f"{ref!r} did not reply within {timeout_s} s. Raise timeout_s, or look at its mailbox."
        )


class BadReturn(ActorError):
    """A callback returned what it may not return; the actor crashes with this."""

    def __init__(self, *, callback: str, value: object) -> None:
        """Name the callback and what it returned."""
        self.callback = callback
        self.value = value
        super().__init__(f"{callback} returned {_short(value)}. Return one of the outcomes that it declares.")


class BadTransition(ActorError):
    """A state machine made a change that its table does not list; it crashes with this."""

    def __init__(self, *, machine: str, source: str, event: str, target: str) -> None:
        """Name the change."""
        self.machine = machine
        self.source = source
        self.event = event
        self.target = target
        super().__init__(
            f"{machine} went from {source} to {target} on {event}, which its table does not allow. "
            "Mend the handler, or add the arrow."
        )


class ChildConflict(ActorError):
    """A supervisor's child is not in the state that the request needs."""

    def __init__(self, *, child: str, state: str, ref: object = None) -> None:
        """Name the child and what OTP calls its state: ``already_started``, ``running``, ``restarting``, ..."""
        self.child = child
        self.state = state
        self.ref = ref
        super().__init__(
            f"child {child!r}: {state}. Look at which_children(), then terminate or delete it first."
        )


class ChildNotFound(ActorError, LookupError):
    """A supervisor has no such child."""

    def __init__(self, *, child: str) -> None:
        """Name the child."""
        self.child = child
        super().__init__(f"no child {child!r} here. Look at which_children().")


class TooManyChildren(ActorError):
    """A dynamic supervisor has as many children as it may."""

    def __init__(self, *, n_children: int, max_children: int) -> None:
        """Give both numbers."""
        self.n_children = n_children
        self.max_children = max_children
        super().__init__(
            f"{n_children} of at most {max_children} children run. Stop one, or raise max_children."
        )


class NotJoined(ActorError, LookupError):
    """An actor left a group that it is not in."""

    def __init__(self, *, group: str, ref: object) -> None:
        """Name the group and the actor."""
        self.group = group
        self.ref = ref
        super().__init__(f"{ref!r} is not in group {group!r}. Join it first.")


class RestartIntensityReached(ActorError):
    """A child died more often than its supervisor tolerates."""

    def __init__(self, *, child: str, n_restarts: int, period_s: float) -> None:
        """Name the child and the window."""
        self.child = child
        self.n_restarts = n_restarts
        self.period_s = period_s
        super().__init__(
            f"{child} needed more than {n_restarts} restarts in {period_s} s. "
            "Look at the first crash in the log; the supervisor has stopped."
        )


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

    def __init__(self, *, model: str, loaded: tuple[str, ...]) -> None:
        """Name the model asked for, and those there are."""
        self.model = model
        self.loaded = loaded
        have = ", ".join(loaded) or "none"
        super().__init__(f"no model is loaded as {model!r} (loaded: {have}). Call load() first.")


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
    """The admission queue is full; the turn was not taken."""

    def __init__(self, *, model: str, n_queued: int, capacity: int) -> None:
        """Name the model and the bound."""
        self.model = model
        self.n_queued = n_queued
        self.capacity = capacity
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

    def __init__(self, *, operation: str, reason: str) -> None:
        """Name the operation and why it was refused."""
        self.operation = operation
        self.reason = reason
        super().__init__(
            f"{operation} refused: {reason}. The sequence is as it was; compute the prefix again."
        )


class DecodeError(EngineError):
    """``llama_decode`` failed."""

    def __init__(self, *, code: int, is_retryable: bool) -> None:
        """Keep the native code: 1 no room, 2 aborted, -1 bad batch, below -1 fatal."""
        self.code = code
        self.is_retryable = is_retryable
        advice = "Try again." if is_retryable else "The context is rebuilt; take the turn again."
        super().__init__(f"llama_decode returned {code}. {advice}")


class CacheError(ActorLlamaError):
    """A tier of the KV cache could not do what was asked."""


class SnapshotCorrupt(CacheError):
    """A saved state does not pass its checks; it is treated as a miss."""

    def __init__(self, *, key: str, path: str | None, section: str) -> None:
        """Name the entry and the section that failed."""
        self.key = key
        self.path = path
        self.section = section
        super().__init__(
            f"saved state {key} ({path or 'in memory'}) is damaged in its {section}. It was set aside."
        )


class SnapshotMismatch(CacheError):
    """A saved state belongs to another model, build or layout."""

    def __init__(self, *, expected: str, actual: str) -> None:
        """Give both fingerprints."""
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"saved state is for {actual}, this context is {expected}. Load the model it was saved from."
        )


class TierFull(CacheError):
    """A tier has no room and may evict nothing."""

    def __init__(self, *, tier: str, needed_bytes: int, limit_bytes: int) -> None:
        """Name the tier and both sizes."""
        self.tier = tier
        self.needed_bytes = needed_bytes
        self.limit_bytes = limit_bytes
        super().__init__(
            f"tier {tier} needs {needed_bytes} bytes within {limit_bytes}. Raise its limit, or unpin."
        )


def _short(value: object) -> str:
    """Show a value in one line that fits a terminal."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes down
        text = f"<{type(value).__name__} too long to show>"
    return text if len(text) <= 80 else text[:77] + "..."
