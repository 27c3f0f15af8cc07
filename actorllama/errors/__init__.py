"""Every error that actorllama raises, in one tree.

::

    ActorLlamaError
    ├─ ConfigError (ValueError)               .field .value .source
    ├─ RequestError (ValueError)              .field .value .reason
    ├─ ConversationChanged                    .conversation .was_known
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
    │  ├─ RuntimeClosed                       .reason
    │  └─ DecodeError                         .code .is_retryable
    └─ CacheError
       ├─ SnapshotNotFound (LookupError)      .key
       ├─ SnapshotCorrupt                     .key .path .section
       ├─ SnapshotMismatch                    .expected .actual
       └─ TierFull                            .tier .needed_bytes .limit_bytes

**What lives here.** ``base.py``: the root, `ConfigError`, `RequestError`. ``actor.py``, ``aio.py``,
``engine.py``, ``cache.py``, ``console.py``: one module per room that raises them.

**Who owns it and what always holds.** Errors are values. Attributes come first, the message is built
from them, and its last sentence says what to do. Foreign errors are translated once, at the edge of a
room. Errors that a caller can cause are replies; errors that make our own state doubtful crash the actor.

**What it may import.** Nothing.

**Why this way, and what we refused.** One tree, so that one ``except ActorLlamaError`` catches all that
was raised on purpose. We refused error codes, and messages without attributes: programs read the
attributes, people the message.

**Read next.** ``engine.py``.
"""

from __future__ import annotations

from actorllama.errors.actor import (
    ActorError,
    ActorExited,
    ActorNotFound,
    BadReturn,
    BadTransition,
    CallingSelf,
    CallTimeout,
    ChildConflict,
    ChildNotFound,
    MailboxFull,
    NameTaken,
    NotJoined,
    RestartIntensityReached,
    StartRefused,
    TooManyChildren,
)
from actorllama.errors.aio import RuntimeClosed
from actorllama.errors.base import ActorLlamaError, ConfigError, RequestError
from actorllama.errors.cache import (
    CacheError,
    SnapshotCorrupt,
    SnapshotMismatch,
    SnapshotNotFound,
    TierFull,
)
from actorllama.errors.console import ConversationChanged
from actorllama.errors.engine import (
    Busy,
    ChatTemplateError,
    ContextFull,
    DecodeError,
    EngineError,
    ModelAlreadyLoaded,
    ModelLoadError,
    ModelNotLoaded,
    ModelUnavailable,
    NoFreeSlot,
    StateError,
    TurnCancelled,
    TurnTimeout,
)

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
    "ConversationChanged",
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
    "RuntimeClosed",
    "SnapshotCorrupt",
    "SnapshotMismatch",
    "SnapshotNotFound",
    "StartRefused",
    "StateError",
    "TierFull",
    "TooManyChildren",
    "TurnCancelled",
    "TurnTimeout",
]
