"""The versions of what actorllama stands on, without importing any of it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

from attrs import frozen

__all__ = ["REQUIRED", "TESTED_LLAMA", "Package", "packages"]

REQUIRED: Final = (
    "attrs",
    "click",
    "gguf",
    "jinja2",
    "llama-cpp-python",
    "lz4",
    "numpy",
    "nvidia-ml-py",
    "prompt_toolkit",
    "psutil",
    "rich",
    "structlog",
    "trio",
    "xxhash",
    "zstandard",
)
"""The distributions that ``pyproject.toml`` names; a test compares them."""

TESTED_LLAMA: Final = "0.3.36"
"""The one version of llama-cpp-python whose C ABI the ctypes layer was written for."""


@frozen(kw_only=True)
class Package:
    """A distribution and its installed version; ``None`` where it is missing."""

    name: str
    version: str | None


def packages() -> tuple[Package, ...]:
    """Look every requirement up."""
    return tuple(Package(name=name, version=_version(name)) for name in REQUIRED)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
