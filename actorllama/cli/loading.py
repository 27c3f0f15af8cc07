"""Bring a model up for a command: check what can be checked beforehand, then load it with a progress bar."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import click
from attrs import evolve, frozen

from actorllama.cli.app import App
from actorllama.cli.interrupts import Interrupts
from actorllama.cli.machine import available_bytes
from actorllama.cli.model_summary import ModelSummary, summarise
from actorllama.cli.parameters import layout_from
from actorllama.cli.screen import progress, size_of
from actorllama.config import Config
from actorllama.demo import model_path
from actorllama.errors import RequestError
from actorllama.native import ContextOptions
from actorllama.runtime import Model, Runtime, open_runtime
from actorllama.telemetry import Bus, attach_structlog

__all__ = ["Loading", "loading_from", "open_model", "open_told_runtime"]

_NAME = "model"


@frozen(kw_only=True)
class Loading:
    """A model that can be loaded, and the configuration to load it with."""

    path: Path
    summary: ModelSummary
    config: Config
    is_debugging: bool
    state_dir: Path | None = None
    """Where the runtime can be watched, and remembers what it found out about models."""


def loading_from(context: click.Context, path: Path | None) -> Loading:
    """Read the file's header and lay its context out; nothing is loaded.

    Args:
        context: The command line, with the `LAYOUT` options.
        path: The model; ``None`` is the embedded one.

    Raises:
        ConfigError: An option is not usable.
        ModelLoadError: The file cannot be loaded.
        RequestError: The KV cache would not fit into memory.
    """
    given: object = context.obj
    assert isinstance(given, App)
    app = given.with_arguments(layout_from(context))
    chosen = path or model_path()
    summary = summarise(chosen)
    layout = app.config.context
    if "context.ctx_per_seq" not in app.sources:
        layout = evolve(layout, ctx_per_seq=max(min(layout.ctx_per_seq, summary.n_ctx_train), 8))
    _check_memory(layout, summary)
    return Loading(
        path=chosen,
        summary=summary,
        config=evolve(app.config, context=layout),
        is_debugging=app.is_debugging,
    )


@asynccontextmanager
async def open_model(
    loading: Loading, interrupts: Interrupts
) -> AsyncGenerator[tuple[Runtime, Model | None], None]:
    """Open a runtime with one model in it.

    Yields:
        The runtime and the model; ``None`` instead of the model if a signal came meanwhile.
    """
    async with open_told_runtime(
        loading.config, is_debugging=loading.is_debugging, state_dir=loading.state_dir
    ) as runtime:
        model: Model | None = None
        with progress(f"loading {loading.path.name}") as on_progress, interrupts.stopping():
            model = await runtime.load(_NAME, loading.path, on_progress=on_progress)
        yield runtime, None if interrupts.received else model


@asynccontextmanager
async def open_told_runtime(
    config: Config, *, is_debugging: bool, state_dir: Path | None = None
) -> AsyncGenerator[Runtime, None]:
    """Open a runtime whose events are log lines on standard error."""
    bus = Bus()
    attach_structlog(bus, config.telemetry)
    if is_debugging:
        logger = logging.getLogger("actorllama.llama_cpp")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(logging.StreamHandler(sys.stderr))
    async with open_runtime(config, bus=bus, state_dir=state_dir) as runtime:
        yield runtime


def _check_memory(layout: ContextOptions, summary: ModelSummary) -> None:
    """Refuse a context that the machine cannot hold: llama.cpp would be killed while it clears it."""
    available = available_bytes()
    if available is None or not summary.kv_bytes_per_token:
        return
    needed = summary.kv_bytes_per_token * layout.n_ctx
    if needed > available:
        raise RequestError(
            field="ctx_per_seq",
            value=layout.ctx_per_seq,
            reason=f"{layout.n_seq} sequences of that length need {size_of(needed)} of KV cache, "
            f"and {size_of(available)} of memory are available",
        )
