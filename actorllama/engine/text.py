"""From token bytes to text that is safe to show: whole characters, no stop string."""

from __future__ import annotations

from codecs import utf_8_decode

__all__ = ["TextAssembler"]


class TextAssembler:
    """Assemble one turn's text.

    Bytes of an unfinished character are held back until it is whole. Text that may still become a
    stop string is held back until it cannot, so that no part of a stop string is ever emitted, even
    when it is spread over tokens.

    Owner: the engine loop, one per live turn.
    """

    __slots__ = (
        "_emitted",
        "_held",
        "_longest",
        "_n_emitted_before",
        "_stops",
        "_tail",
        "_undecoded",
        "stop",
    )

    def __init__(self, stops: tuple[str, ...] = (), *, held: str = "", undecoded: bytes = b"") -> None:
        """Watch for these stop strings; the one found first in the text wins.

        Args:
            stops: Stop strings.
            held: Where an earlier turn ended: text that was emitted, and that a stop string may begin with.
            undecoded: Bytes of a character that the earlier turn began.
        """
        self._stops = stops
        self._longest = max((len(stop) for stop in stops), default=0)
        self._undecoded = b""
        self._decode(undecoded)
        self._held = held if stops else ""
        self._n_emitted_before = len(self._held)
        self._tail = ("", b"")
        self._emitted: list[str] = []
        self.stop: str | None = None

    @property
    def has_stops(self) -> bool:
        """Whether a stop string may end the turn."""
        return bool(self._stops)

    @property
    def text(self) -> str:
        """Everything emitted so far."""
        return "".join(self._emitted)

    @property
    def tail(self) -> tuple[str, bytes]:
        """What was undecided when the turn ended: held text and undecoded bytes, for its continuation."""
        return self._tail

    def feed(self, piece: bytes) -> str:
        """Add the bytes of a token, or of several; return the text that became safe, often empty.

        After a stop string was found (``self.stop``), nothing more is emitted.
        """
        fresh = self._decode(piece)
        if not self._stops:
            if fresh:
                self._emitted.append(fresh)
            return fresh
        if self.stop is not None:
            return ""
        return self._emit_before_stop(self._held + fresh)

    def finish(self) -> str:
        """Emit what was held back for a stop string that did not come.

        Bytes of a character that never became whole are dropped: they are not text yet, and a
        continuation of the turn may complete them.
        """
        self._tail = (self._held, self._undecoded)
        safe, self._held = self._held, ""
        return "" if self.stop is not None else self._emit(safe)

    def _decode(self, piece: bytes) -> str:
        # As codecs' incremental decoder does, in one call: this runs for every token.
        data = self._undecoded + piece if self._undecoded else piece
        fresh, n_decoded = utf_8_decode(data, "replace", False)  # noqa: FBT003 - it takes no keywords
        self._undecoded = data[n_decoded:]
        return fresh

    def _emit_before_stop(self, text: str) -> str:
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            # Leftmost wins; of two at the same place the longer one.
            at, self.stop = min(found, key=lambda hit: (hit[0], -len(hit[1])))
            safe, self._held = text[:at], ""
        else:
            cut = len(text) - self._n_undecided(text)
            safe, self._held = text[:cut], text[cut:]
        return self._emit(safe)

    def _emit(self, safe: str) -> str:
        """Emit text, but for what an earlier turn has emitted of it."""
        n_before = min(self._n_emitted_before, len(safe))
        self._n_emitted_before -= n_before
        safe = safe[n_before:]
        if safe:
            self._emitted.append(safe)
        return safe

    def _n_undecided(self, text: str) -> int:
        """Return the length of the longest tail that some stop string begins with."""
        for n in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - n :]
            if any(stop.startswith(tail) for stop in self._stops):
                return n
        return 0
