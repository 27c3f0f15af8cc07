"""What the bench of peers measures: flat values, so that a command line and a TOML file can give them."""

from __future__ import annotations

from hashlib import shake_128
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from actorllama.errors import RequestError

__all__ = ["CONTESTANTS", "LOADS", "Load", "PeersOptions", "said"]

Load: TypeAlias = Literal["turns", "conversations", "crowd", "restart", "memory"]

LOADS: Final[tuple[Load, ...]] = ("turns", "conversations", "crowd", "restart", "memory")
CONTESTANTS: Final = (
    "actorllama",
    "llama-server",
    "actorllama-embedded",
    "llama-cpp-python",
    "llama-cpp-python-server",
)
_CELLS_OF_A_STEP: Final = 256  # llama.cpp rounds contexts up to this
_N_SPARE: Final = 16


@frozen(kw_only=True)
class PeersOptions:
    """What to measure, and against whom.

    Raises:
        RequestError: A value is out of its bounds, or a path is not there.
    """

    model: Path
    label: str
    n_ctx_train: int
    """What the model was trained for: no conversation is longer."""
    is_random: bool
    """Whether it is one of the random models, whose tokens below 256 are bytes."""
    n_threads: int = 1
    contestants: tuple[str, ...] = CONTESTANTS
    loads: tuple[Load, ...] = LOADS
    llama_server: Path | None = None
    """The program; by default the one that the shell would find."""
    python: Path | None = None
    """The interpreter that has llama-cpp-python and its server; by default the one that runs this."""
    library: Path | None = None
    """Directory of the libllama that Python contestants load; by default the one beside llama-server."""
    ram_cache_bytes: int = 1 << 30
    n_rounds: int = 5
    side_by_side: tuple[int, ...] = (1, 4, 8, 16)
    n_turn_prompt: int = 128
    n_turn_reply: int = 64
    n_user: int = 32
    """Tokens of each message after the first, in every load but that of a restart."""
    n_conversations: int = 4
    n_conversation_turns: int = 6
    n_system: int = 512
    n_reply: int = 32
    """Tokens of each reply, in every load but the first."""
    n_crowd: int = 12
    n_crowd_slots: int = 4
    n_crowd_opening: int = 1024
    n_crowd_rounds: int = 3
    tight_cache_bytes: int = 24 << 20
    """Budget of the RAM cache in a second run of the crowd, so small that not all of it fits."""
    n_restarted: int = 3
    n_restart_prompt: int = 3840
    n_restart_message: int = 16
    n_memory: int = 16
    n_memory_prompt: int = 256
    n_memory_cells: int = 4096
    """Of each slot in the load of memory, as far as the model goes; they take their memory used or not."""
    rest_s: float = 5.0
    """Seconds without a question before memory is read."""
    n_checked: int = 3
    """Conversations of the crowd whose replies are compared with those of an unbroken run."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        bounds: tuple[tuple[str, int, int], ...] = (
            ("threads", self.n_threads, 512),
            ("rounds", self.n_rounds, 1000),
            *(("side-by-side", count, 128) for count in self.side_by_side),
            ("turn-prompt", self.n_turn_prompt, 1 << 20),
            ("turn-reply", self.n_turn_reply, 1 << 20),
            ("user", self.n_user, 1 << 20),
            ("conversations", self.n_conversations, 128),
            ("turns", self.n_conversation_turns, 1000),
            ("system", self.n_system, 1 << 20),
            ("reply", self.n_reply, 1 << 20),
            ("crowd", self.n_crowd, 1000),
            ("slots", self.n_crowd_slots, 128),
            ("opening", self.n_crowd_opening, 1 << 20),
            ("crowd-rounds", self.n_crowd_rounds, 1000),
            ("restarted", self.n_restarted, 64),
            ("restart-prompt", self.n_restart_prompt, 1 << 20),
            ("restart-message", self.n_restart_message, 1 << 20),
            ("memory", self.n_memory, 128),
            ("memory-prompt", self.n_memory_prompt, 1 << 20),
            ("memory-cells", self.n_memory_cells, 1 << 20),
            ("ram-cache-mb", self.ram_cache_bytes >> 20, 1 << 20),
            ("tight-cache-mb", self.tight_cache_bytes >> 20, 1 << 20),
        )
        for field, value, high in bounds:
            if not 1 <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be 1 to {high}")
        if self.n_crowd_rounds < 2:
            raise RequestError(field="crowd-rounds", value=self.n_crowd_rounds, reason="must be 2 at least")
        self._check_paths()
        self._check_lengths()

    def _check_lengths(self) -> None:
        lengths: tuple[tuple[Load, str, int], ...] = (
            ("turns", "turn-prompt", self.turns_cells),
            ("conversations", "turns", self.conversation_cells),
            ("crowd", "opening", self.crowd_cells),
            ("restart", "restart-prompt", self.restart_cells),
            ("memory", "memory-prompt", self.memory_cells),
        )
        for load, field, cells in lengths:
            if load in self.loads and cells > self.n_ctx_train:
                reason = f"conversations of {cells} tokens; the model goes to {self.n_ctx_train}"
                raise RequestError(field=field, value=cells, reason=reason)

    def _check_paths(self) -> None:
        for field, path in (("llama-server", self.llama_server), ("python", self.python)):
            if path is not None and not path.is_file():
                raise RequestError(field=field, value=str(path), reason="there is no such file")
        if self.library is not None and not list(self.library.glob("libllama.*")):
            raise RequestError(field="library", value=str(self.library), reason="no libllama lies there")

    @property
    def n_banned(self) -> int:
        """Tokens from 128 on that are never chosen: bytes that are no character by themselves."""
        return 128 if self.is_random else 0

    @property
    def turns_cells(self) -> int:
        """Tokens that a slot must hold in the load of turns."""
        growth = (self.n_rounds + 1) * (self.n_turn_reply + self.n_user)
        return _rounded(self.n_turn_prompt + growth)

    @property
    def conversation_cells(self) -> int:
        """Tokens that a slot must hold in the load of conversations."""
        return _rounded(self.n_system + self.n_conversation_turns * (self.n_user + self.n_reply))

    @property
    def crowd_cells(self) -> int:
        """Tokens that a slot must hold in the load of a crowd."""
        return _rounded(self.n_crowd_opening + self.n_crowd_rounds * (self.n_user + self.n_reply))

    @property
    def restart_cells(self) -> int:
        """Tokens that a slot must hold in the load of a restart."""
        return _rounded(self.n_restart_prompt + self.n_restart_message + 2 * self.n_reply)

    @property
    def memory_cells(self) -> int:
        """Tokens that a slot must hold in the load of memory."""
        least = _rounded(self.n_memory_prompt + self.n_reply)
        return max(least, min(self.n_memory_cells, self.n_ctx_train) // _CELLS_OF_A_STEP * _CELLS_OF_A_STEP)


def said(n_tokens: int, name: str) -> tuple[int, ...]:
    """Make a message: the same for the same name, beginning like no other, of any model's tokens.

    In a random model they are the bytes of two-byte characters, so that who takes text only can be given the
    same prompt: no two of these bytes are ever merged into another token.
    """
    pairs = ((0xC3, 0x80 | (byte & 0x3F)) for byte in shake_128(name.encode()).digest((n_tokens + 1) // 2))
    return tuple(islice((token for pair in pairs for token in pair), n_tokens))


def _rounded(n_tokens: int) -> int:
    return -(-(n_tokens + _N_SPARE) // _CELLS_OF_A_STEP) * _CELLS_OF_A_STEP
