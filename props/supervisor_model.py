"""The rules of a supervisor as a pure model: no tasks, no time but a number, no messages.

It says what OTP does (erlang/otp ``lib/stdlib/src/supervisor.erl``); ``prop_supervisor_model.py`` checks it
against outcomes recorded on OTP 25, ``prop_supervisors.py`` checks the kernel against it. After every
operation it is settled: retries of a failing init are carried to their end at once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import define, field, frozen

__all__ = ["AutoShutdown", "ModelChild", "ModelSpec", "Restart", "Strategy", "SupervisorModel", "Why"]

Why: TypeAlias = Literal["normal", "shutdown", "crash", "killed"]
Strategy: TypeAlias = Literal["one_for_one", "rest_for_one", "one_for_all"]
Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]


@frozen(kw_only=True)
class ModelSpec:
    """A child as its supervisor knows it."""

    id: str
    restart: Restart = "permanent"
    significant: bool = False


@define
class ModelChild:
    """A child as it is now."""

    spec: ModelSpec
    status: Literal["running", "stopped"] = "stopped"


@define(kw_only=True)
class SupervisorModel:
    """One supervisor; ``events`` is what its children's ``init`` and ``terminate`` would record."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 1
    period_s: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    now: float = 0.0
    is_alive: bool = False
    children: list[ModelChild] = field(factory=list[ModelChild])
    restarts_at: list[float] = field(factory=list[float])
    events: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    failing_inits: dict[str, int] = field(factory=dict[str, int])

    def start(self, specs: list[ModelSpec]) -> str:
        """Start from left to right; a failure stops those already started, from right to left (V1, V2)."""
        self.children = [ModelChild(spec) for spec in specs]
        for child in self.children:
            if not self._init(child):
                self._stop(self.children)
                return f"failed_to_start_child {child.spec.id}"
        self.is_alive = True
        return "ok"

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def child_exits(self, child_id: str, why: Why) -> None:
        """A running child ends by itself (V5, V10, V11, V21)."""
        child = self._child(child_id)
        if child is None or child.status != "running":
            return
        if why != "killed":
            self.events.append(("terminate", child_id))
        child.status = "stopped"
        is_abnormal = why in ("crash", "killed")
        if child.spec.restart == "permanent" or (child.spec.restart == "transient" and is_abnormal):
            self._restart(child)
            return
        if child.spec.restart == "temporary":
            self.children.remove(child)
        if child.spec.significant and self._is_last_straw(child):
            self._end()

    def terminate_child(self, child_id: str) -> str:
        """Stop a child and keep its spec, unless it is temporary (V18)."""
        child = self._child(child_id)
        if child is None:
            return "not_found"
        self._stop([child])
        return "ok"

    def restart_child(self, child_id: str) -> str:
        """Start a stopped child again; not counted as a restart (V18)."""
        child = self._child(child_id)
        if child is None:
            return "not_found"
        if child.status == "running":
            return "running"
        return "ok" if self._init(child) else "error"

    def delete_child(self, child_id: str) -> str:
        """Forget a stopped child (V18)."""
        child = self._child(child_id)
        if child is None:
            return "not_found"
        if child.status == "running":
            return "running"
        self.children.remove(child)
        return "ok"

    def start_child(self, spec: ModelSpec) -> str:
        """Add a child at the end; a failed start leaves nothing (V18)."""
        child = self._child(spec.id)
        if child is not None:
            return "already_started" if child.status == "running" else "already_present"
        child = ModelChild(spec)
        if not self._init(child):
            return "error"
        self.children.append(child)
        return "ok"

    def shut_down(self) -> None:
        """The parent stops the supervisor."""
        if self.is_alive:
            self._end()

    def which(self) -> list[tuple[str, str]]:
        """The children, last started first (V19)."""
        return [(child.spec.id, child.status) for child in reversed(self.children)]

    # -- the rules ------------------------------------------------------------------------------

    def _restart(self, child: ModelChild) -> None:
        """Restart by the strategy until all inits succeed or the intensity is reached (V6, V7, V9, V12)."""
        trigger: ModelChild | None = child
        while trigger is not None:
            self.restarts_at.append(self.now)
            if sum(1 for at in self.restarts_at if at >= self.now - self.period_s) > self.max_restarts:
                self._end()
                return
            trigger = self._restart_once(trigger)

    def _restart_once(self, trigger: ModelChild) -> ModelChild | None:
        """Restart once; return the child whose init failed."""
        index = self.children.index(trigger)
        if self.strategy == "one_for_one":
            affected = [trigger]
        else:
            affected = self.children[0 if self.strategy == "one_for_all" else index :]
            self._stop(affected)
            affected = [child for child in affected if child in self.children]
        for child in affected:
            if not self._init(child):
                return child
        return None

    def _stop(self, children: list[ModelChild]) -> None:
        """Stop from right to left; temporary children are gone for good."""
        for child in reversed(children):
            if child.status == "running":
                child.status = "stopped"
                self.events.append(("terminate", child.spec.id))
            if child.spec.restart == "temporary" and self.is_alive:
                self.children[:] = [other for other in self.children if other is not child]

    def _init(self, child: ModelChild) -> bool:
        self.events.append(("init", child.spec.id))
        n_failing = self.failing_inits.get(child.spec.id, 0)
        if n_failing > 0:
            self.failing_inits[child.spec.id] = n_failing - 1
            return False
        child.status = "running"
        return True

    def _end(self) -> None:
        self._stop(self.children)
        self.children = []
        self.is_alive = False

    def _is_last_straw(self, ended: ModelChild) -> bool:
        if self.auto_shutdown == "any_significant":
            return True
        others = [c for c in self.children if c is not ended and c.spec.significant and c.status == "running"]
        return self.auto_shutdown == "all_significant" and not others

    def _child(self, child_id: str) -> ModelChild | None:
        return next((child for child in self.children if child.spec.id == child_id), None)
