"""What an arena tells about itself."""

from __future__ import annotations

from attrs import frozen

__all__ = ["ArenaStatistics"]


@frozen(kw_only=True)
class ArenaStatistics:
    """How an arena's memory is used; whole pages."""

    limit_bytes: int
    used_bytes: int
    """Of pieces that somebody still refers to."""
    n_pieces: int
    touched_bytes: int
    """Used and free pages that the system keeps for us, as far as we know: what it moved to swap is counted,
    what it added to make large pages (up to 2 MiB at each end of a range) is not."""
    n_free_ranges: int
    largest_free_bytes: int
    """The largest piece that `take` can give now."""
