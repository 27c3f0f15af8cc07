"""What ``load`` may be told, checked before an actor is started for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict, TypeVar

import attrs

from actorllama.config import Config
from actorllama.engine import ModelSpec
from actorllama.errors import RequestError
from actorllama.native import Backend, ContextOptions, ModelOptions
from actorllama.native.sampling import check_number

__all__ = ["LoadOptions", "build_spec", "check_name"]

T = TypeVar("T", ContextOptions, ModelOptions)
_MIN_WEIGHT, _MAX_WEIGHT = 1e-3, 1e3  # beyond them a model would get all of the time, or none
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class LoadOptions(TypedDict, total=False):
    """What ``load`` may set for one model; ``ContextOptions`` and ``ModelOptions`` say what each does."""

    n_seq: int
    ctx_per_seq: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    keeps_threads: bool
    flash_attention: bool
    layout: str
    type_k: str
    type_v: str
    n_gpu_layers: int
    use_mmap: bool
    use_mlock: bool
    check_tensors: bool


def check_name(name: object) -> None:
    """Refuse a model name that could not be an actor's.

    Raises:
        RequestError: With the rule.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RequestError(field="name", value=name, reason="1 to 64 letters, digits, '.', '_' or '-'")


def build_spec(
    name: str,
    path: str | Path | None,
    options: LoadOptions,
    *,
    config: Config,
    backend: Backend,
    weight: float,
    on_progress: Callable[[float], None] | None,
    verdict_dir: Path | None = None,
) -> ModelSpec:
    """Join the configuration and the arguments of one ``load``.

    Raises:
        RequestError: An option is unknown or out of bounds.
    """
    unknown = sorted(set(options) - set(LoadOptions.__annotations__))
    if unknown:
        known = ", ".join(sorted(LoadOptions.__annotations__))
        raise RequestError(field=unknown[0], value=None, reason=f"is no load option; there are {known}")
    check_number("weight", weight, low=_MIN_WEIGHT, high=_MAX_WEIGHT)
    context_options = _evolve(config.context, options)
    if context_options.type_v not in ("f32", "f16", "bf16") and not context_options.flash_attention:
        raise RequestError(
            field="type_v", value=context_options.type_v, reason="quantised values need flash_attention=True"
        )
    return ModelSpec(
        name=name,
        path=_model_path(path),
        backend=backend,
        model_options=_evolve(config.model, options),
        context_options=context_options,
        engine_options=config.engine,
        cache_options=config.cache,
        fits_check=config.pressure.fits_check,
        weight=weight,
        on_progress=on_progress,
        verdict_dir=verdict_dir,
    )


def _evolve(base: T, options: Mapping[str, object]) -> T:
    """Replace the fields that ``options`` name; one at a time, so that an error names its field."""
    known = {field.name for field in attrs.fields(type(base))}
    for key, value in options.items():
        if key in known:
            try:
                base = attrs.evolve(base, **{key: value})  # type: ignore[arg-type]  # the validators check
            except (TypeError, ValueError) as exc:
                raise RequestError(field=key, value=value, reason=str(exc.args[0])) from exc
    return base


def _model_path(path: str | Path | None) -> Path:
    if path is None:
        from actorllama.demo import model_path

        return model_path()
    if not isinstance(path, str | Path):
        raise RequestError(field="path", value=path, reason="must be a path")
    return Path(path)
