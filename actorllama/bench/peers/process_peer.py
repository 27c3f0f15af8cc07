"""What all contestants have in common: a process of their own, how it begins and how it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actorllama.bench.peers.contestant import Setup
from actorllama.bench.peers.memory import MemoryUse, memory_of
from actorllama.bench.peers.process import PeerProcess

__all__ = ["ProcessPeer"]


class ProcessPeer:
    """A contestant but for how it starts and takes turns.

    Around a restart it does nothing: most save as turns end, or not at all.

    Owner: the scenario.
    """

    def __init__(self, setup: Setup) -> None:
        """Take note of how it is to be started."""
        self._setup = setup
        self._begun: PeerProcess | None = None

    @property
    def pid(self) -> int:
        """The process that computes."""
        return self._process.pid

    async def settle(self, slots: Sequence[int]) -> None:
        """Do nothing: what is saved is saved as turns end."""

    async def bring_back(self, slot: int) -> None:
        """Do nothing: a prompt finds what was saved, or does not."""

    async def memory(self) -> MemoryUse:
        """Read what the process takes; what its cache takes of it, it does not tell."""
        return memory_of(self.pid)

    async def stop(self) -> None:
        """Send SIGTERM and wait: what is still to be written is written."""
        if self._begun is not None:
            await self._begun.stop()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._begun is not None:
            self._begun.kill()

    @property
    def _process(self) -> PeerProcess:
        assert self._begun is not None, "started"
        return self._begun

    def _begin(
        self, command: Sequence[str], *, environment: Mapping[str, str], has_pipes: bool = False
    ) -> PeerProcess:
        """Begin the process, with its log beside what it saves."""
        self._setup.saved.mkdir(parents=True, exist_ok=True)
        log = self._setup.root / "log.txt"
        self._begun = PeerProcess(command, log=log, environment=environment, has_pipes=has_pipes)
        return self._begun
