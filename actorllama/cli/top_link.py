"""The watching end of a runtime's socket: find it, connect, read its lines."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

import trio
from attrs import frozen

from actorllama.errors import RequestError
from actorllama.runtime.observer_door import SOCKET_GLOB, address_of, is_ours
from actorllama.runtime.observer_lines import PROTOCOL

__all__ = ["FoundRuntime", "Link", "Said", "find_runtimes", "open_link"]

Said: TypeAlias = Mapping[str, object]
"""One line of a runtime, as JSON has it."""

_MAX_LINE_BYTES: Final = 8 << 20
_HELLO_TIMEOUT_S: Final = 5.0
_SILENCE_S: Final = 150.0  # more than two of the longest intervals


@frozen(kw_only=True)
class FoundRuntime:
    """A runtime that answered, and through which socket."""

    path: Path
    hello: Said

    @property
    def pid(self) -> int:
        """Its process."""
        pid = self.hello.get("pid")
        return pid if isinstance(pid, int) else 0

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models when it answered."""
        names = self.hello.get("models")
        return tuple(str(name) for name in cast("list[object]", names)) if isinstance(names, list) else ()


class Link:
    """A connection to a running runtime.

    Owner: the task that opened it.
    """

    def __init__(self, path: Path, stream: trio.SocketStream) -> None:
        """Read ``stream``; the path is for messages."""
        self.path = path
        self._stream = stream
        self._rest = b""
        self.hello: Said = {}

    async def greet(self) -> None:
        """Read who speaks.

        Raises:
            RequestError: It is no runtime that we understand, or it does not answer.
        """
        with trio.move_on_after(_HELLO_TIMEOUT_S) as waiting:
            hello = await self._line()
            if hello is None:
                raise _refuse(self.path, "it has ended, or too many watch it already.")
            self.hello = hello
        if waiting.cancelled_caught:
            raise _refuse(self.path, "it does not answer. See whether its process is stopped.")
        protocol = self.hello.get("protocol")
        if self.hello.get("kind") != "hello" or not isinstance(protocol, int):
            raise _refuse(self.path, "this is not the socket of a runtime. See the observe*.sock files.")
        if protocol > PROTOCOL:
            raise _refuse(self.path, "it runs a newer actorllama. Use its version of this command.")

    async def snapshot(self) -> Said | None:
        """Wait for the next snapshot; ``None`` at the end.

        Raises:
            RequestError: What comes is not understood, or nothing comes.
        """
        with trio.move_on_after(_SILENCE_S):
            while (line := await self._line()) is not None:
                if line.get("kind") == "snapshot":
                    return line
            return None
        raise _refuse(self.path, "it has fallen silent. See whether its process is stopped.")

    async def _line(self) -> Said | None:
        while b"\n" not in self._rest:
            if len(self._rest) > _MAX_LINE_BYTES:
                raise _refuse(self.path, "this is not the socket of a runtime: its lines do not end.")
            try:
                more = await self._stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            said: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _refuse(
                self.path, "this is not the socket of a runtime: it does not speak JSON."
            ) from error
        if not isinstance(said, dict):
            raise _refuse(self.path, "this is not the socket of a runtime: it says something else.")
        return cast("Said", said)


@asynccontextmanager
async def open_link(path: Path) -> AsyncGenerator[Link, None]:
    """Connect to the socket of a runtime and read its hello.

    Raises:
        RequestError: There is none, it is not ours, or nobody listens there.
    """
    try:
        _check(path)
        with address_of(path) as address:
            stream = await trio.open_unix_socket(address)
    except RequestError:
        raise
    except FileNotFoundError as error:
        raise _refuse(path, "there is nothing. The runtime may have ended.") from error
    except ConnectionRefusedError as error:
        raise _refuse(path, "nobody listens. The process that made it has ended.") from error
    except (OSError, ValueError) as error:
        raise _refuse(path, f"it cannot be used ({error}).") from error
    async with stream:
        link = Link(path, stream)
        await link.greet()
        yield link


async def find_runtimes(folder: Path) -> tuple[FoundRuntime, ...]:
    """Find the runtimes that answer in a state directory, or in one of the directories in it."""
    found: list[FoundRuntime] = []
    for path in _sockets(folder):
        try:
            async with open_link(path) as link:
                found.append(FoundRuntime(path=path, hello=link.hello))
        except RequestError:
            continue  # left behind by a process that is gone, or not ours
    return tuple(found)


def _check(path: Path) -> None:
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise _refuse(path, "this is no socket. Give a process id or an observe*.sock file.")
    if not is_ours(path):
        raise _refuse(path, "it belongs to another user. Watch it as that user.")


def _sockets(folder: Path) -> list[Path]:
    return sorted((*folder.glob(SOCKET_GLOB), *folder.glob(f"*/{SOCKET_GLOB}")))


def _refuse(path: Path, reason: str) -> RequestError:
    return RequestError(field="--attach", value=str(path), reason=reason)
