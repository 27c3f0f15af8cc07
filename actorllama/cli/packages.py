"""The versions of what actorllama stands on, without importing any of it."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from attrs import frozen

import actorllama

__all__ = ["REQUIRED", "Package", "own_version", "packages"]

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
    "rich",
    "structlog",
    "trio",
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


def own_version() -> str:
    """Tell actorllama's own version, in a checkout that was never installed too."""
    installed = _version("actorllama")
    if installed is not None:
        return installed
    project = Path(actorllama.__file__).parents[1] / "pyproject.toml"
    try:
        found: object = tomllib.loads(project.read_text())["project"]["version"]
    except (OSError, KeyError, ValueError):
        return "unknown"
    return str(found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
