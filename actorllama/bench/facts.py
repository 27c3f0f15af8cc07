"""What every bench tells beside its figures: the same keys for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import cast

import attrs
from attrs import frozen

from actorllama.bench.commit import commit_of_tree
from actorllama.bench.machine import MachineFacts, machine_facts
from actorllama.native import BuildInfo
from actorllama.native.gguf_fingerprint import fingerprint

__all__ = ["BenchFacts", "BenchStart", "MeasuredModel", "plain_options"]

_NOT_OPTIONS = frozenset({"model", "label"})  # told as ``model``, and a path says where somebody keeps things


@frozen(kw_only=True)
class MeasuredModel:
    """Which model it was."""

    label: str
    fingerprint: str
    """Names the file's content, as in the keys of saved states."""

    @classmethod
    def of(cls, path: Path, label: str) -> MeasuredModel:
        """Read a file's fingerprint.

        Raises:
            ModelLoadError: It is no readable GGUF.
        """
        return cls(label=label, fingerprint=fingerprint(path))


@frozen(kw_only=True)
class BenchFacts:
    """On what, with what, when and for how long a bench ran."""

    machine: MachineFacts
    build: BuildInfo | None
    """``None`` where nothing of llama.cpp was called."""
    model: MeasuredModel | None
    commit: str | None
    """``None`` where the package was installed without its checkout."""
    began_at: str
    """ISO 8601, UTC."""
    wall_s: float
    cpu_s: float
    """Of this process, all of its threads, both sides of the measurement together."""

    def envelope(
        self, bench: str, options: Mapping[str, object], *, cpu_s_per_1000_tokens: float | None = None
    ) -> dict[str, object]:
        """Give what every answer begins with.

        Keys: ``bench``, ``options``, ``machine``, ``build``, ``model`` (``label`` and ``fingerprint``),
        ``commit``, ``began_at``, ``wall_s``, ``cpu_s``, ``cpu_s_per_1000_tokens``. A key whose value makes
        no sense for a bench is there all the same and says ``None``.

        Args:
            bench: Its name, as on the command line.
            options: What it was asked for, plain values.
            cpu_s_per_1000_tokens: Of the side that is measured, not of the bare one; where tokens are made.
        """
        rate = cpu_s_per_1000_tokens
        return {
            "bench": bench,
            "options": dict(options),
            "machine": self.machine.to_json(),
            "build": None if self.build is None else attrs.asdict(self.build),
            "model": None if self.model is None else attrs.asdict(self.model),
            "commit": self.commit,
            "began_at": self.began_at,
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "cpu_s_per_1000_tokens": None if rate is None else round(rate, 6),
        }

    def footnote(self) -> str:
        """Say in a line on what it was measured."""
        machine = self.machine
        parts = [f"{machine.cpu}, {machine.n_cores} cores", machine.library, self.commit, self.began_at]
        return " | ".join(part for part in parts if part)


@frozen(kw_only=True)
class BenchStart:
    """The moment at which a bench began: made first, asked last."""

    machine: MachineFacts
    began_at: str
    began_s: float
    began_cpu_s: float

    @classmethod
    def now(cls) -> BenchStart:
        """Look at the clocks, and at the load before any of it is ours."""
        return cls(
            machine=machine_facts(),
            began_at=datetime.now(UTC).isoformat(timespec="seconds"),
            began_s=perf_counter(),
            began_cpu_s=process_time(),
        )

    def facts(self, *, build: BuildInfo | None = None, model: MeasuredModel | None = None) -> BenchFacts:
        """Say what came of it until now."""
        machine = self.machine
        if build is not None:
            machine = attrs.evolve(machine, library=build.version, has_openmp=build.has_openmp)
        return BenchFacts(
            machine=machine,
            build=build,
            model=model,
            commit=commit_of_tree(),
            began_at=self.began_at,
            wall_s=perf_counter() - self.began_s,
            cpu_s=process_time() - self.began_cpu_s,
        )


def plain_options(options: attrs.AttrsInstance) -> dict[str, object]:
    """Give the options of a bench as plain values, without the model's path and label."""
    return {
        field.name: _plain(getattr(options, field.name))
        for field in attrs.fields(type(options))
        if field.name not in _NOT_OPTIONS
    }


def _plain(value: object) -> object:
    if attrs.has(type(value)):
        return plain_options(cast("attrs.AttrsInstance", value))
    if isinstance(value, float) and not math.isfinite(value):
        return None  # no bound: JSON has no infinity
    if isinstance(value, tuple | list):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    return str(value) if isinstance(value, Path) else value
