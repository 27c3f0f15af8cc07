"""The mailbox against two lists."""

from __future__ import annotations

from collections import deque
from typing import Literal, TypeAlias, cast

from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from actorllama.actors.mailbox import CALL, CAST, INFO, SYSTEM, Item, Mailbox

Verb: TypeAlias = Literal[
    "put", "queue", "post", "system", "urgent", "pop", "hold", "release", "drop", "withdraw"
]
VERBS: tuple[Verb, ...] = (
    "put",
    "queue",
    "post",
    "system",
    "urgent",
    "pop",
    "hold",
    "release",
    "drop",
    "withdraw",
)


@frozen
class Sender:
    """Stands in for the call of a client that waits for room."""

    number: int


@define
class Lists:
    """The naive mailbox: one list per lane, and a line of senders."""

    capacity: int
    urgent: list[Item] = field(factory=list[Item])
    queue: list[Item] = field(factory=list[Item])
    line: list[tuple[Sender, Item]] = field(factory=list[tuple[Sender, Item]])
    is_held: bool = False

    @property
    def n_counted(self) -> int:
        return sum(1 for item in self.queue if item[0] in (CALL, CAST))

    def pop(self) -> Item | None:
        if self.urgent:
            return self.urgent.pop(0)
        if self.is_held or not self.queue:
            return None
        item = self.queue.pop(0)
        if item[0] in (CALL, CAST) and self.line:
            self.queue.append(self.line.pop(0)[1])
        return item

    def hold(self) -> None:
        self.is_held = True
        self.urgent += [item for item in self.queue if item[0] >= SYSTEM]
        self.queue = [item for item in self.queue if item[0] < SYSTEM]

    def post_system(self, item: Item) -> None:
        (self.urgent if self.is_held else self.queue).append(item)

    def drop_oldest_cast(self) -> Item | None:
        for item in self.queue:
            if item[0] == CAST:
                self.queue.remove(item)
                return item
        return None


def send(verb: Verb, number: int, mailbox: Mailbox, lists: Lists) -> None:
    """Send the same to both."""
    item: Item = (CAST, number, None)
    match verb:
        case "put":
            mailbox.put(item)
            lists.queue.append(item)
        case "queue":
            has_room = lists.n_counted < lists.capacity
            assert mailbox.offer(item) == has_room
            if has_room:
                lists.queue.append(item)
            else:
                mailbox.wait_for_room(Sender(number), item)
                lists.line.append((Sender(number), item))
        case "post":
            mailbox.post((INFO, number, None))
            lists.queue.append((INFO, number, None))
        case "system":
            mailbox.post((SYSTEM, number, None))
            lists.post_system((SYSTEM, number, None))
        case _:
            mailbox.post_urgent((SYSTEM, number, None))
            lists.urgent.append((SYSTEM, number, None))


def do(verb: Verb, number: int, mailbox: Mailbox, lists: Lists) -> None:
    """Do the same to both."""
    match verb:
        case "pop":
            assert mailbox.pop() == lists.pop()
        case "hold":
            mailbox.hold()
            lists.hold()
        case "release":
            mailbox.release()
            lists.is_held = False
        case "drop":
            assert mailbox.drop_oldest_cast() == lists.drop_oldest_cast()
        case "withdraw":
            gone = lists.line.pop() if lists.line else (Sender(number), None)
            assert mailbox.withdraw(gone[0]) == gone[1]
        case _:
            send(verb, number, mailbox, lists)


@given(st.integers(1, 3), st.lists(st.sampled_from(VERBS), max_size=40))
def prop_the_mailbox_agrees_with_two_lists(capacity: int, verbs: list[Verb]) -> None:
    mailbox, lists = Mailbox(capacity), Lists(capacity)
    for number, verb in enumerate(verbs):
        do(verb, number, mailbox, lists)
        assert len(mailbox) == len(lists.queue) + len(lists.urgent) + len(lists.line)
    assert mailbox.drain() == [*lists.urgent, *lists.queue, *(item for _, item in lists.line)]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=30))
def prop_messages_of_one_sender_are_handled_in_the_order_sent(sends: list[tuple[int, bool]]) -> None:
    """Casts and notices of one sender stay in order whatever the others send; signals come first."""
    mailbox = Mailbox(100)
    for number, (sender, is_notice) in enumerate(sends):
        message = (sender, number)
        if is_notice:
            mailbox.post((INFO, message, None))
        else:
            mailbox.put((CAST, message, None))
    mailbox.post_urgent((SYSTEM, (-1, -1), None))
    taken = deque[tuple[int, int]]()
    while (item := mailbox.pop()) is not None:
        taken.append(cast("tuple[int, int]", item[1]))
    assert taken.popleft() == (-1, -1)
    for sender in range(3):
        numbers = [number for who, number in taken if who == sender]
        assert numbers == sorted(numbers)
    assert len(taken) == len(sends)
