"""llama-cpp-python's functions and structures, without the rest of that package.

``import llama_cpp`` loads ``Llama``, its chat formats, its caches and what those need: jinja2, sqlite3,
multiprocessing and diskcache, 4 MB in each process and a tenth of a second. We call C, so we load the one
module that declares it. Whoever imports ``llama_cpp`` afterwards gets the whole package, around this module.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llama_cpp import llama_cpp

__all__ = ["LIBRARY_PATH", "binding_version", "llama_cpp"]

_PACKAGE = "llama_cpp"
_MODULE = "llama_cpp.llama_cpp"


def _load() -> ModuleType:
    spec = None if _PACKAGE in sys.modules else importlib.util.find_spec(_PACKAGE)
    if spec is None:
        return importlib.import_module(_MODULE)
    # The module imports others by the package's name, so the name must lead somewhere meanwhile.
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(_MODULE)
    finally:
        del sys.modules[_PACKAGE]


if not TYPE_CHECKING:
    llama_cpp = _load()

LIBRARY_PATH: str = llama_cpp._lib._name  # noqa: SLF001 - the one place that says which file was loaded
"""The shared library that was loaded."""


def binding_version() -> str:
    """Return the version of llama-cpp-python, as its package states it; ``unknown`` if it does not."""
    stated = Path(str(llama_cpp.__file__)).with_name("__init__.py").read_text(encoding="utf-8")
    found = re.search(r"__version__ = \"([^\"]+)\"", stated)
    return "unknown" if found is None else found[1]
