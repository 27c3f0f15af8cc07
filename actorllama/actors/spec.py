"""How a child is started, restarted and stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from actorllama.actors.living import Living
from actorllama.actors.mailbox import Overflow
from actorllama.actors.via import Via
from actorllama.errors import ConfigError

__all__ = ["ChildSpec", "Restart", "ShutdownGrace"]

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
ShutdownGrace: TypeAlias = float | Literal["brutal_kill", "infinity"]

RESTARTS: Final = ("permanent", "transient", "temporary")
WORKER_GRACE_S: Final = 5.0


@frozen(kw_only=True)
class ChildSpec:
    """One child, as data.

    Attributes:
        id: Names the child within its supervisor.
        start: Makes a fresh actor for every start and restart.
        restart: ``permanent`` always, ``transient`` after an abnormal end, ``temporary`` never.
        shutdown: Seconds between the polite stop and the kill; ``"brutal_kill"`` skips the polite stop,
            ``"infinity"`` never kills. Default: 5 s for a worker, infinity for a supervisor.
        significant: Its own end may end the supervisor (see ``auto_shutdown``).
        name: Registered before ``init`` runs, free before anybody hears of the death.
        mailbox_capacity: Calls and casts that may be queued.
        overflow: What a cast finds in a full mailbox.
        type: ``supervisor`` for a child that has children.
        init_timeout_s: A start that takes longer is killed and refused.
    """

    id: str
    start: Callable[[], Living]
    restart: Restart = "permanent"
    shutdown: ShutdownGrace | None = None
    significant: bool = False
    name: str | Via | None = None
    mailbox_capacity: int = 64
    overflow: Overflow = "refuse"
    type: Literal["worker", "supervisor"] = "worker"
    init_timeout_s: float = field(default=math.inf)

    def __attrs_post_init__(self) -> None:
        """Check every field before anything starts."""
        _check("restart", self.restart, ok=self.restart in RESTARTS)
        _check("type", self.type, ok=self.type in ("worker", "supervisor"))
        _check("overflow", self.overflow, ok=self.overflow in ("refuse", "drop_new", "drop_old"))
        _check("mailbox_capacity", self.mailbox_capacity, ok=self.mailbox_capacity >= 1)
        _check("init_timeout_s", self.init_timeout_s, ok=self.init_timeout_s > 0)
        grace = self.shutdown
        is_grace = grace in (None, "brutal_kill", "infinity") or (
            isinstance(grace, int | float) and grace >= 0
        )
        _check("shutdown", grace, ok=is_grace)
        if self.significant and self.restart == "permanent":
            raise ConfigError(
                field="significant",
                value=True,
                source="ChildSpec",
                hint="A permanent child never ends by itself.",
            )

    @property
    def grace_s(self) -> float:
        """Seconds from the polite stop to the kill; 0 for brutal_kill."""
        match self.shutdown:
            case "infinity":
                return math.inf
            case "brutal_kill":
                return 0.0
            case None:
                return math.inf if self.type == "supervisor" else WORKER_GRACE_S
            case grace_s:
                return grace_s

    @property
    def is_brutal(self) -> bool:
        """Whether the child is killed without being asked."""
        return self.shutdown == "brutal_kill"


def _check(name: str, value: object, *, ok: bool) -> None:
    if not ok:
        raise ConfigError(
            field=name, value=value, source="ChildSpec", hint="See the attributes of ChildSpec."
        )
