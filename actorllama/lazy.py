"""Public names of a package that are loaded on first use.

A package says at module level in which module each of its names is::

    from actorllama.lazy import on_first_use

    __getattr__ = on_first_use("actorllama.bench", {"shape_path": ".shapes"})

This module stands on the bottom row beside ``errors`` and ``ids`` so that every room can import it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["on_first_use"]


def on_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package that loads a name when somebody asks for it, and keeps it.

    Args:
        package: Its name.
        homes: Of each public name the module that has it; with a leading dot, one in the package.

    Returns:
        A function that raises `AttributeError` for any other name, as a module does.
    """

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(home, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
