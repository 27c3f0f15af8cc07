"""A FastAPI service that streams turns as server-sent events.

::

    pip install "actorllama[examples]"
    uvicorn --app-dir docs/examples fastapi_service:app --timeout-graceful-shutdown 5 --no-access-log
    curl -N "http://127.0.0.1:8000/turn?prompt=Once+upon+a+time&max_tokens=32"

Each client gets events with text, and one last event: ``end`` with what the turn brought, or ``error``
with the type of what went wrong. A client that goes away takes its turn with it; a slow one holds back
only itself. ``MODEL`` names a GGUF file; without it the demo model answers.

When the server is told to stop, turns have those 5 seconds to end; whoever is left then gets ``error`` of
type ``RuntimeClosed``.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from actorllama import aio
from actorllama.errors import ActorLlamaError, RuntimeClosed


def event(data: dict[str, object], *, kind: str = "message") -> str:
    """Write one event."""
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def error_event(exc: ActorLlamaError) -> str:
    """Write the last event of a turn that failed."""
    return event({"type": type(exc).__name__, "message": str(exc)}, kind="error")


class EventStream(StreamingResponse):
    """Stream events until they end, the client goes away, or the server has waited long enough.

    Starlette's own way is a task group, which cancels again at every turn of the loop until a task has
    ended, and a turn takes a step of the model for that. Two plain tasks cost a tenth less in all.
    """

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        """Stream what the generator yields."""
        super().__init__(events, media_type="text/event-stream")
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; whatever ends that closes the generator, and with it the turn."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.create_task(self.send_events(send))
        watching = asyncio.create_task(self.listen_for_disconnect(receive))
        last = ""
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the server stops, and wants no more than that this ends
            last = "" if sending.done() else error_event(RuntimeClosed(reason="the server stops"))
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.wait((sending, watching))
            await self.events.aclose()
        if not sending.cancelled():
            sending.result()
        with suppress(asyncio.CancelledError):  # told again: this client reads nothing
            await send({"type": "http.response.body", "body": last.encode()})

    async def send_events(self, send: Send) -> None:
        """Send each as it comes."""
        async for text in self.events:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


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
        yield error_event(exc)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    """Keep a runtime open as long as the service runs."""
    async with aio.open_runtime() as rt:
        app.state.model = await rt.load("chat", os.environ.get("MODEL"), n_seq=8, n_threads=1)
        gc.freeze()  # what is there by now stays: to look through it takes 50 ms, and every client waits
        yield
        gc.unfreeze()


app = FastAPI(lifespan=lifespan)


@app.get("/turn")
async def take_turn(prompt: str, max_tokens: int = 64, seed: int = 0) -> EventStream:
    """Take a turn."""
    return EventStream(events_of(app.state.model, prompt, max_tokens, seed))
