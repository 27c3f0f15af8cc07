"""What the warm bench measures."""

from __future__ import annotations

from hashlib import shake_128
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from actorllama.config import Config
from actorllama.engine import EngineOptions
from actorllama.errors import RequestError
from actorllama.kvcache import CacheOptions
from actorllama.runtime import LoadOptions

__all__ = ["WARM_SOURCES", "WarmBenchOptions", "WarmSource", "prompt_tokens"]

WarmSource: TypeAlias = Literal["cold", "live", "ram", "disk", "restart"]
"""Where a prefix is when its turn comes: nowhere, in its sequence, in RAM, on disk, or on disk for a process
that has just started."""

WARM_SOURCES: Final[tuple[WarmSource, ...]] = ("cold", "live", "ram", "disk", "restart")

_DEFAULT_LENGTHS: Final = (512, 2048, 4096, 8192)
_N_ALPHABET: Final = 64
_N_SPARE: Final = 64  # cells behind the suffix
_N_TALK: Final = 4096  # so that no neighbour comes to its end while something is measured


@frozen(kw_only=True)
class WarmBenchOptions:
    """What to measure.

    Raises:
        RequestError: A value is out of its bounds.
    """

    model: Path
    label: str
    n_ctx_train: int
    """What the model was trained for: lengths that are not given go no further."""
    lengths: tuple[int, ...] = ()
    """Tokens of the prefix; by default 512, 2048, 4096 and 8192, as far as the model goes."""
    sources: tuple[WarmSource, ...] = WARM_SOURCES
    n_suffix: int = 16
    """Tokens of the prompt behind the prefix: they are computed whatever is saved."""
    n_neighbours: int = 2
    """Turns that decode in other sequences; 0 leaves those cases out."""
    n_rounds: int = 3
    n_threads: int = 0
    block_tokens: int = 64

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        longest = self.n_ctx_train - self.n_suffix - _N_SPARE
        bounds = (
            ("suffix", self.n_suffix, 2, self.block_tokens - 1),
            ("neighbours", self.n_neighbours, 0, 64),
            ("rounds", self.n_rounds, 1, 100),
            *(("at", length, self.block_tokens, longest) for length in self.lengths),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")
        if not self.prefixes:
            raise RequestError(field="at", value=None, reason="the model's context is too short")

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Lengths that are measured, in tokens; whole blocks, so that all of a prefix is saved."""
        longest = self.n_ctx_train - self.n_suffix - _N_SPARE
        given = self.lengths or tuple(length for length in _DEFAULT_LENGTHS if length <= longest)
        if not given and longest >= self.block_tokens:
            given = (longest,)
        return tuple(dict.fromkeys(length // self.block_tokens * self.block_tokens for length in given))

    @property
    def load_options(self) -> LoadOptions:
        """How the model is loaded, in every process."""
        return LoadOptions(
            n_seq=self.n_neighbours + 1,
            ctx_per_seq=max(self.prefixes) + self.n_suffix + (_N_TALK if self.n_neighbours else _N_SPARE),
            n_threads=self.n_threads,
        )

    def config(self, *, ram_limit_bytes: int = 4 << 30) -> Config:
        """Make the configuration of one runtime: every step of the neighbours is told at once."""
        cache = CacheOptions(
            ram_limit_bytes=ram_limit_bytes,
            pending_limit_bytes=4 << 30,
            prefetch_bytes=0,  # after a restart the disk is measured
            block_tokens=self.block_tokens,
        )
        return Config(cache=cache, engine=EngineOptions(post_interval_s=0.0))


def prompt_tokens(n_tokens: int, name: str) -> list[int]:
    """Make a prompt that begins like no other: token ids that every model has, the same for the same name."""
    return [3 + byte % _N_ALPHABET for byte in shake_128(name.encode()).digest(n_tokens)]
