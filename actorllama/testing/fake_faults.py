"""What goes wrong in a fake backend, and when: planned by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable

import trio
from attrs import define, field

__all__ = ["FakeFaults", "Gate"]

_LOOK_S = 0.002


class Gate:
    """A place where a thread stands still until the test lets it go on.

    It models a slow step or a slow disk without sleeping: ``await gate.wait_entered()`` knows that the
    thread is inside, ``gate.release()`` ends its wait.
    """

    def __init__(self, *, is_stoppable: bool = True) -> None:
        """Make a closed gate; one that is not stoppable holds on though it is told to abort."""
        self._entered = threading.Event()
        self._released = threading.Event()
        self._is_stoppable = is_stoppable

    @property
    def is_entered(self) -> bool:
        """Whether a thread has come to the gate."""
        return self._entered.is_set()

    def release(self) -> None:
        """Let whoever is held go on, and hold nobody any more."""
        self._released.set()

    async def wait_entered(self) -> None:
        """Wait until a thread stands at the gate."""
        await trio.to_thread.run_sync(self._wait_entered)

    def hold(self, is_stopped: Callable[[], bool]) -> bool:
        """Hold the calling thread; false if it was stopped before the gate was opened."""
        self._entered.set()
        while not self._released.wait(_LOOK_S):
            if self._is_stoppable and is_stopped():
                return False
        return True

    def _wait_entered(self) -> None:
        while not self._entered.wait(_LOOK_S):
            trio.from_thread.check_cancelled()


@define(kw_only=True)
class FakeFaults:
    """The plan of one backend: which load and which decode fails, or stands still.

    Loads, contexts, captures and decodes are counted over the backend's life, all models together; ``nth``
    counts from now, 1 is the next one. Plan before the work starts, or while it is held at a gate.
    """

    n_loads: int = 0
    n_decodes: int = 0
    n_opens: int = 0
    n_captures: int = 0
    _load_reasons: dict[int, str] = field(factory=dict[int, str], init=False)
    _context_reasons: dict[int, str] = field(factory=dict[int, str], init=False)
    _open_reasons: dict[int, str] = field(factory=dict[int, str], init=False)
    _capture_errors: dict[int, Exception] = field(factory=dict[int, Exception], init=False)
    _load_gates: dict[int, Gate] = field(factory=dict[int, Gate], init=False)
    _decode_codes: dict[int, int] = field(factory=dict[int, int], init=False)
    _decode_gates: dict[int, Gate] = field(factory=dict[int, Gate], init=False)

    def fail_load(self, reason: str, *, nth: int = 1) -> None:
        """Refuse the file."""
        self._load_reasons[self.n_loads + nth] = reason

    def fail_context(self, reason: str, *, nth: int = 1) -> None:
        """Load the weights, and refuse the context that is asked of them."""
        self._context_reasons[self.n_loads + nth] = reason

    def fail_open(self, reason: str, *, nth: int = 1) -> None:
        """Refuse a context, of weights that may have had one before."""
        self._open_reasons[self.n_opens + nth] = reason

    def fail_capture(self, error: Exception, *, nth: int = 1) -> None:
        """Raise this where the state of a sequence is copied out."""
        self._capture_errors[self.n_captures + nth] = error

    def hold_load(self, *, nth: int = 1, is_stoppable: bool = True) -> Gate:
        """Let loading stand still until the gate is released, or the load is stopped."""
        return self._load_gates.setdefault(self.n_loads + nth, Gate(is_stoppable=is_stoppable))

    def fail_decode(self, code: int, *, nth: int = 1) -> None:
        """Return a code of ``llama_decode``: 1 leaves the memory as it was, all others leave it in doubt."""
        self._decode_codes[self.n_decodes + nth] = code

    def hold_decode(self, *, nth: int = 1, is_stoppable: bool = True) -> Gate:
        """Let a step stand still until the gate is released, or the context is aborted."""
        return self._decode_gates.setdefault(self.n_decodes + nth, Gate(is_stoppable=is_stoppable))

    def next_load(self) -> tuple[str | None, str | None, Gate | None]:
        """Count one more load: why it fails, why its context fails, and where it is held."""
        self.n_loads += 1
        n = self.n_loads
        return self._load_reasons.get(n), self._context_reasons.get(n), self._load_gates.get(n)

    def next_open(self) -> str | None:
        """Count one more context that is asked for: why it is refused."""
        self.n_opens += 1
        return self._open_reasons.get(self.n_opens)

    def next_capture(self) -> Exception | None:
        """Count one more copy of a state: what it raises."""
        self.n_captures += 1
        return self._capture_errors.get(self.n_captures)

    def next_decode(self) -> tuple[int, Gate | None]:
        """Count one more decode: its code, and where it is held."""
        self.n_decodes += 1
        return self._decode_codes.get(self.n_decodes, 0), self._decode_gates.get(self.n_decodes)
