"""Lines on their way to a file: numbered, bounded in bytes, never waited for."""

from __future__ import annotations

from queue import Queue

__all__ = ["LineBuffer"]

_END = b"end"  # told apart by identity


class LineBuffer(Queue[bytes]):
    """A queue whose size is in bytes, and which numbers what it is offered.

    A line that finds no room is dropped, and its number with it: a reader sees the gap. Numbers are
    given in the order in which lines come out, whatever threads they come from.

    Owner: the handler that made it; any thread may `offer`, one thread takes. The only lock is the
    queue's own, held for an append.
    """

    _n_bytes: int

    def __init__(self, limit_bytes: int) -> None:
        """Hold up to ``limit_bytes``."""
        super().__init__(limit_bytes)
        self.n_offered = 0
        self.n_dropped = 0
        self._is_ended = False

    def offer(self, body: bytes) -> None:
        """Put ``{"seq":N,`` before the rest of a line and take it; drop it if there is no room."""
        with self.mutex:
            if self._is_ended:
                return
            self.n_offered += 1
            line = b'{"seq":%d,%b' % (self.n_offered, body)
            if self._n_bytes + len(line) > self.maxsize:
                self.n_dropped += 1
                return
            self.queue.append(line)  # as `_put` does, without its cost
            self._n_bytes += len(line)
            self.not_empty.notify()

    def end(self) -> None:
        """Take no more; a second time does nothing."""
        with self.mutex:
            if not self._is_ended:
                self._is_ended = True
                self._put(_END)
                self.not_empty.notify()

    def take_all(self) -> tuple[list[bytes], bool]:
        """Wait for a line and give all that are there, and whether more can come."""
        with self.mutex:
            while not self._n_bytes:
                self.not_empty.wait()
            taken = list(self.queue)
            self.queue.clear()
            self._n_bytes = 0
        return (taken[:-1], False) if taken[-1] is _END else (taken, True)

    # -- what `queue.Queue` asks of its subclasses ------------------------------------------------

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._n_bytes = 0

    def _qsize(self) -> int:
        return self._n_bytes

    def _put(self, item: bytes) -> None:
        super()._put(item)
        self._n_bytes += len(item)

    def _get(self) -> bytes:
        item: bytes = super()._get()
        self._n_bytes -= len(item)
        return item
