"""The mailbox of one actor: a bounded user lane, an unbounded system lane, and the calls not answered yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import trio

from actorllama.actors.reply import Caller

__all__ = ["Item", "Mailbox", "Overflow"]

CALL: Final = 0
CAST: Final = 1
INFO: Final = 2  # kinds from here on are neither counted nor refused
TIMEOUT: Final = 3
SYSTEM: Final = 4  # kinds from here on are served while the actor is suspended
STOP: Final = 5
SHUTDOWN: Final = 6

KIND_NAMES: Final = ("call", "cast", "info", "timeout", "system", "stop", "shutdown")

Item: TypeAlias = tuple[int, object, Caller | None]
"""Kind, message, and for a call who waits. A tuple because one is built for every message."""

Overflow: TypeAlias = Literal["refuse", "drop_new", "drop_old"]
"""What a cast finds in a full mailbox: no room, its own loss, or the loss of the oldest cast."""


class Mailbox:
    """Keep messages in order of arrival; serve the system lane first.

    The user lane holds calls and casts, at most ``capacity`` of them; senders beyond that wait in order
    of arrival, or are refused. Notices (`Down`, `Exit`, timers, ``info_nowait``) travel in the same lane,
    so that they never overtake a message sent before them, but are neither counted nor refused.

    Owner: its process. Senders touch it on the trio thread only.
    """

    __slots__ = (
        "_is_held",
        "_n_counted",
        "_parked",
        "_queue",
        "_urgent",
        "_waiting",
        "capacity",
        "n_peak",
    )

    def __init__(self, capacity: int) -> None:
        """Make an empty mailbox that admits ``capacity`` calls and casts."""
        self.capacity = capacity
        self.n_peak = 0
        self._queue: deque[Item] = deque()
        self._urgent: deque[Item] = deque()
        self._waiting: dict[object, Item] = {}  # a sender's task or Caller -> what it wants to send
        self._n_counted = 0
        self._is_held = False
        self._parked: trio.lowlevel.Task | None = None

    def __len__(self) -> int:
        """Count what is queued, senders that wait for room included."""
        return len(self._queue) + len(self._urgent) + len(self._waiting)

    @property
    def n_waiting(self) -> int:
        """How many senders wait for room."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether a call or cast would have to wait."""
        return self._n_counted >= self.capacity

    def offer(self, item: Item) -> bool:
        """Queue a call or a cast if there is room, and say whether there was."""
        n_counted = self._n_counted + 1
        if n_counted > self.capacity:
            return False
        self._n_counted = n_counted
        if n_counted > self.n_peak:
            self.n_peak = n_counted
        self._queue.append(item)
        task = self._parked
        if task is not None and not self._is_held:
            self._parked = None
            trio.lowlevel.reschedule(task)
        return True

    def put(self, item: Item) -> None:
        """Queue a call or a cast, whether there is room or not."""
        self._n_counted += 1
        self.n_peak = max(self.n_peak, self._n_counted)
        self._queue.append(item)
        if not self._is_held:
            self._wake()

    def post(self, item: Item) -> None:
        """Queue a notice or a system request, in order with the messages before it."""
        if item[0] >= SYSTEM and self._is_held:
            self._urgent.append(item)
        else:
            self._queue.append(item)
            if self._is_held:
                return
        self._wake()

    def post_urgent(self, item: Item) -> None:
        """Queue a signal ahead of all messages."""
        self._urgent.append(item)
        self._wake()

    def pop(self) -> Item | None:
        """Take the next item, or ``None``; room that becomes free goes to the sender that waited longest."""
        if self._urgent:
            return self._urgent.popleft()
        if not self._queue or self._is_held:
            return None
        item = self._queue.popleft()
        if item[0] <= CAST:
            self._n_counted -= 1
            if self._waiting:
                self._admit()
        return item

    async def park(self, task: trio.lowlevel.Task) -> None:
        """Wait, as the actor's own task, until something can be popped."""
        self._parked = task
        await trio.lowlevel.wait_task_rescheduled(self._unpark)

    def wait_for_room(self, sender: object, item: Item) -> None:
        """Stand in line; :meth:`pop` admits the item, and wakes ``sender`` if it is a task."""
        self._waiting[sender] = item

    def withdraw(self, sender: object) -> Item | None:
        """Leave the line; ``None`` if the item was admitted before."""
        return self._waiting.pop(sender, None) if self._waiting else None

    def drop_oldest_cast(self) -> Item | None:
        """Make room by taking the oldest queued cast out, if there is one."""
        for index, item in enumerate(self._queue):
            if item[0] == CAST:
                del self._queue[index]
                self._n_counted -= 1
                return item
        return None

    def remove(self, is_unwanted: Callable[[object], bool]) -> None:
        """Take queued notices out."""
        if any(item[0] == INFO and is_unwanted(item[1]) for item in self._queue):
            self._queue = deque(item for item in self._queue if item[0] != INFO or not is_unwanted(item[1]))

    def hold(self) -> None:
        """Serve nothing but system requests and signals from now on."""
        self._is_held = True
        self._urgent.extend(item for item in self._queue if item[0] >= SYSTEM)
        self._queue = deque(item for item in self._queue if item[0] < SYSTEM)

    def release(self) -> None:
        """Serve messages again."""
        self._is_held = False

    def drain(self) -> list[Item]:
        """Empty the mailbox for good: the actor is dead. Casts that wait for room end their wait."""
        items = [*self._urgent, *self._queue, *self._waiting.values()]
        for sender in self._waiting:
            if isinstance(sender, trio.lowlevel.Task):
                trio.lowlevel.reschedule(sender)
        self._urgent.clear()
        self._queue.clear()
        self._waiting.clear()
        self._n_counted = 0
        return items

    def _admit(self) -> None:
        sender = next(iter(self._waiting))
        self._n_counted += 1
        self._queue.append(self._waiting.pop(sender))
        if isinstance(sender, trio.lowlevel.Task):
            trio.lowlevel.reschedule(sender)

    def _wake(self) -> None:
        task = self._parked
        if task is not None:
            self._parked = None
            trio.lowlevel.reschedule(task)

    def _unpark(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED
