"""The FastAPI example with a model whose replies never end: for tests of what its server does when it stops.

``MODE=guest python -m uvicorn tests.examples.endless_service:app``
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal, cast

from fastapi import FastAPI

from actorllama import aio
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.fake_language import FakeLanguage
from tests.examples.service_rig import load_example

app: FastAPI = load_example("fastapi_service").app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    backend = FakeBackend(FakeLanguage(end_one_in=0))
    mode = cast('Literal["thread", "guest"]', os.environ["MODE"])
    try:
        async with aio.open_runtime(mode=mode, backend=backend) as rt:
            app.state.model = await rt.load("fake", "x.gguf", n_seq=8, ctx_per_seq=1 << 16)
            yield
    finally:  # a server that is told twice cancels this
        backend.ledger.check()
        threads = [thread.name for thread in threading.enumerate() if "Trio thread" not in thread.name]
        sys.stdout.write(f"closed, {threads}\n")
        sys.stdout.flush()


app.router.lifespan_context = lifespan
