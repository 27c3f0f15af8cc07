"""One child as its supervisor keeps it."""

from __future__ import annotations

from typing import Literal

from attrs import define, frozen

from actorllama.actors.children import ChildInfo
from actorllama.actors.process import Process
from actorllama.actors.spec import ChildSpec

__all__ = ["Child", "Retry"]


@frozen(eq=False)
class Retry:
    """A supervisor's note to itself: start this child again."""

    child: Child
    is_counted: bool


@define(eq=False)
class Child:
    """One child as its supervisor keeps it.

    Owner: the supervisor.
    """

    spec: ChildSpec
    process: Process | None = None
    state: Literal["running", "restarting", "stopped"] = "stopped"
    retry: Retry | None = None
    n_restarts: int = 0

    @property
    def info(self) -> ChildInfo:
        """Show the child."""
        process = self.process
        type_ = "supervisor" if process is not None and process.is_supervisor else self.spec.type
        return ChildInfo(
            id=self.spec.id, ref=None if process is None else process.ref, state=self.state, type=type_
        )
