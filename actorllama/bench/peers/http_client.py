"""Asking a local server over HTTP, and when each event of its answer came.

Bytes are taken as they come and read later, so that the client costs the servers little of the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TypeAlias, cast

import trio
from attrs import frozen

from actorllama.errors import EngineError

__all__ = ["Answer", "free_port", "get_json", "post", "post_json"]

_HOST = "127.0.0.1"
_N_RECEIVE = 65_536
_MAX_ANSWER_BYTES = 256 << 20

Json: TypeAlias = "dict[str, object]"


@frozen(kw_only=True)
class Answer:
    """What came, piece by piece, with the time of each."""

    asked_s: float
    pieces: Sequence[tuple[float, bytes]]

    @property
    def status(self) -> int:
        """The status of the answer.

        Raises:
            EngineError: It is no HTTP answer.
        """
        words = b"".join(data for _, data in self.pieces).split(b"\r\n", 1)[0].split(b" ")
        if len(words) < 2 or not words[1].isdigit():
            raise EngineError("the server closed the connection without an answer. See its log.")
        return int(words[1])

    def body(self) -> Iterator[tuple[float, bytes]]:
        """Give what follows the head, taken out of its chunks."""
        head, is_chunked, is_in_body = b"", False, False
        chunks = _Chunks()
        for time_s, data in self.pieces:
            if not is_in_body:
                head += data
                if b"\r\n\r\n" not in head:
                    continue
                lines, _, data = head.partition(b"\r\n\r\n")
                is_in_body, is_chunked = True, b"transfer-encoding: chunked" in lines.lower()
            payload = chunks.payload_of(data) if is_chunked else data
            if payload:
                yield time_s, payload

    def events(self) -> Iterator[tuple[float, str]]:
        """Give the data of each server-sent event, with the time at which it was whole."""
        rest = b""
        for time_s, data in self.body():
            *whole, rest = (rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
            for event in whole:
                for line in event.split(b"\n"):
                    if line.startswith(b"data:"):
                        yield time_s, line[5:].strip().decode()

    def json(self) -> Json:
        """Read the whole body as one JSON object.

        Raises:
            EngineError: It is none, or the server refused.
        """
        text = b"".join(data for _, data in self.body())
        if self.status != 200:
            raise EngineError(f"the server answered {self.status}: {text[:200].decode(errors='replace')}")
        try:
            return cast("Json", json.loads(text))
        except ValueError as exc:
            raise EngineError(f"the server's answer is no JSON: {exc}. See its log.") from exc


class _Chunks:
    """Takes the payload out of a chunked body, whatever way it was cut. Owner: one reading of an answer."""

    def __init__(self) -> None:
        self._raw = b""
        self._n_left = 0

    def payload_of(self, data: bytes) -> bytes:
        self._raw += data
        payload = b""
        while self._raw:
            if self._n_left > 2:  # the payload, then the two bytes that end it
                taken = self._raw[: self._n_left - 2]
                payload, self._raw = payload + taken, self._raw[len(taken) :]
                self._n_left -= len(taken)
                continue
            if self._n_left:
                ending = min(self._n_left, len(self._raw))
                self._raw, self._n_left = self._raw[ending:], self._n_left - ending
                continue
            size, found, rest = self._raw.partition(b"\r\n")
            if not found:
                break
            n_bytes = int(size.split(b";")[0] or b"0", 16)
            if n_bytes == 0:
                self._raw = b""
                break
            self._raw, self._n_left = rest, n_bytes + 2
        return payload


async def post(port: int, path: str, body: Json) -> Answer:
    """Ask, and take the answer as it comes until the server closes.

    Raises:
        EngineError: The server cannot be reached, or went away.
    """
    return await _ask(port, "POST", path, json.dumps(body).encode())


async def post_json(port: int, path: str, body: Json) -> Json:
    """Ask for one JSON object; errors as of `post` and `Answer.json`."""
    return (await post(port, path, body)).json()


async def get_json(port: int, path: str) -> Json:
    """Ask for one JSON object; errors as of `post` and `Answer.json`."""
    return (await _ask(port, "GET", path, b"")).json()


async def free_port() -> int:
    """Find a port that nobody listens on now."""
    (listener,) = await trio.open_tcp_listeners(0, host=_HOST)
    async with listener:
        port: int = listener.socket.getsockname()[1]
    return port


async def _ask(port: int, verb: str, path: str, body: bytes) -> Answer:
    head = (
        f"{verb} {path} HTTP/1.1\r\nHost: {_HOST}:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    pieces: list[tuple[float, bytes]] = []
    n_bytes = 0
    asked_s = perf_counter()
    try:
        async with await trio.open_tcp_stream(_HOST, port) as stream:
            await stream.send_all(head.encode() + body)
            while data := await stream.receive_some(_N_RECEIVE):
                pieces.append((perf_counter(), data))
                n_bytes += len(data)
                if n_bytes > _MAX_ANSWER_BYTES:
                    raise EngineError("the server's answer has no end. See its log.")
    except (OSError, trio.BrokenResourceError) as exc:
        raise EngineError(f"the server on port {port} did not answer: {exc}. See its log.") from exc
    return Answer(asked_s=asked_s, pieces=pieces)
