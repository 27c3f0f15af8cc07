"""Which state of the code a figure was measured with."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["commit_of_tree"]


def commit_of_tree() -> str | None:
    """Name the commit of the checkout that this package lies in; ``None`` if it is installed without one."""
    # No locks: a bench that looks at a checkout must not stand in the way of who works there.
    look = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent)]
    command = [*look, "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
