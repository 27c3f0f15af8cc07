"""The live view takes whatever a socket says: words come of it, never an error or an escape code."""

from __future__ import annotations

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from actorllama.cli.top_screen import screen_of
from actorllama.cli.top_view import draw

SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    st.sampled_from([1e300, -1.0, "\x1b[2J", "ready"]),
)
KEYS = st.sampled_from(
    [
        *("models", "cache", "events", "pressure", "ram", "disk", "counts", "metadata", "measurements"),
        *("model", "phase", "time_s", "n_starts", "n_seq", "n_prompt", "n_cached", "used_bytes", "n_decoded"),
        *("level", "event", "domain", "last_hit_tokens", "n_pending", "tokens_per_s", "started_at_s"),
        *("step", "won_bytes"),
    ]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=20,
)
LINES = st.dictionaries(KEYS, ANYTHING, max_size=8)


@given(hello=LINES, before=st.none() | LINES, snapshot=LINES, height=st.integers(1, 40))
def prop_anything_that_json_has_can_be_drawn(
    hello: dict[str, object], before: dict[str, object] | None, snapshot: dict[str, object], height: int
) -> None:
    """And nothing of it reaches the terminal as a command."""
    shown = screen_of(hello, snapshot, before)
    out = StringIO()
    console = Console(file=out, width=80, height=height)
    console.print(draw(shown, console))
    assert "\x1b" not in out.getvalue()
