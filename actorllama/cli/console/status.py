"""The status bar: who answers, how full the context is, how fast it goes."""

from __future__ import annotations

import psutil

from actorllama.cli.console.desk import Desk
from actorllama.cli.screen import size_of

__all__ = ["status_line"]


def status_line(desk: Desk) -> str:
    """Write the bar. Asks nobody: any thread may call it.

    Cost: one look at /proc.
    """
    talk, last = desk.talk, desk.last
    words = [talk.speaker.name, talk.name + ("" if talk.is_saved else " (not saved)")]
    gauges = next((one for one in desk.runtime.gauges() if one.model == talk.speaker.name), None)
    if gauges is None:
        words.append("not loaded")
    elif gauges.phase != "ready":
        words.append(gauges.phase)
    if last is not None:
        words.append(f"context {last.usage.n_total}/{talk.speaker.options.get('ctx_per_seq', '?')}")
        source = f" {last.usage.source}" if last.usage.source else ""
        words.append(f"cached {last.usage.n_cached}/{last.usage.n_prompt}{source}")
        if last.timings.decode_s > 0:
            words.append(f"{last.usage.n_generated / last.timings.decode_s:.0f} tok/s")
    words.append(size_of(psutil.Process().memory_info().rss))
    if desk.feed.followed:
        words.append(f"events: {', '.join(name or 'all' for name in desk.feed.followed)}")
    return " " + " | ".join(words) + " "
