"""A FastAPI service that streams turns as server-sent events.

::

    pip install "actorllama[examples]"
    uvicorn --app-dir docs/examples fastapi_service:app --port 8000
    curl -N "http://127.0.0.1:8000/turn?prompt=Once+upon+a+time&max_tokens=32"

Each client gets events with text, and one last event: ``end`` with what the turn brought, or ``error``
with the type of what went wrong. A client that goes away takes its turn with it; a slow one holds back
only itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from actorllama import aio
from actorllama.errors import ActorLlamaError


class EventStream(StreamingResponse):
    """Stream server-sent events, and close their generator as soon as the client has gone."""

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        """Stream what the generator yields."""
        super().__init__(events, media_type="text/event-stream")
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with aclosing(self.events):
            await super().__call__(scope, receive, send)


def event(data: dict[str, object], *, kind: str = "message") -> str:
    """Write one event."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


async def events_of(
    model: aio.AsyncModel, prompt: str, max_tokens: int, seed: int
) -> AsyncGenerator[str, None]:
    """Take a turn and tell it as events."""
    try:
        async with model.stream(prompt, max_tokens=max_tokens, seed=seed, timeout_s=60) as turn:
            async for piece in turn:
                yield event({"text": piece.text})
        result = turn.result
        yield event({"finish_reason": result.finish_reason, "n_tokens": result.usage.n_generated}, kind="end")
    except ActorLlamaError as exc:
        yield event({"type": type(exc).__name__, "message": str(exc)}, kind="error")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Keep a runtime open as long as the service runs."""
    # As a guest of the server's loop: one thread less that takes turns at the interpreter.
    async with aio.open_runtime(mode="guest") as rt:
        app.state.model = await rt.load("demo", n_seq=8, n_threads=1)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/turn")
async def take_turn(prompt: str, max_tokens: int = 64, seed: int = 0) -> EventStream:
    """Take a turn."""
    return EventStream(events_of(app.state.model, prompt, max_tokens, seed))
