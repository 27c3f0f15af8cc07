"""llama-cpp-python's bindings without the rest of that package.

``import llama_cpp`` loads a chat server's worth of modules besides (jinja2, sqlite3, diskcache,
multiprocessing): 2 MB in every process, and a tenth of a second. Here only the bindings are used.
"""

from __future__ import annotations

import re
import sys
import threading
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["open_door"]

_PACKAGE: Final = "llama_cpp"
_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


_lock = threading.RLock()


class _Door(ModuleType):
    """The package before its own code has run: it has the bindings, and runs it when more is wanted."""

    is_whole = False

    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        is_special = name.startswith("__") and name.endswith("__")
        if not is_special and spec is not None and spec.loader is not None:
            with _lock:  # who comes meanwhile waits for the end; the code itself comes by here, too
                if not self.is_whole:
                    self.is_whole = True
                    spec.loader.exec_module(self)
                if name in vars(self):
                    return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def open_door() -> None:
    """Put the bindings in the place of the package, unless somebody has loaded it.

    A program that uses the package itself gets all of it, before this or afterwards.
    """
    if _PACKAGE in sys.modules:
        return
    spec = find_spec(_PACKAGE)
    version = None if spec is None else _version_of(spec)
    if spec is None or version is None:
        return  # no package of the form that is known: it is loaded as it is
    door = module_from_spec(spec)
    door.__class__ = _Door
    sys.modules[_PACKAGE] = door
    try:
        bindings = import_module(f"{_PACKAGE}.{_PACKAGE}")
    except BaseException:
        sys.modules.pop(_PACKAGE, None)
        raise
    for name, value in vars(bindings).items():
        if not name.startswith("_"):
            setattr(door, name, value)
    door.__dict__.update({_PACKAGE: bindings, "__version__": version})


def _version_of(spec: ModuleSpec) -> str | None:
    if spec.origin is None or not spec.submodule_search_locations:
        return None
    found = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8"))
    return None if found is None else found[1]


open_door()
