# ruff: noqa: D100, F704
# Cells of a notebook: a loop runs already, and `await` may stand at the top.
# %% [markdown]
# Turns in a notebook. The runtime lives on its own thread: it goes on while no cell runs.

# %%
from contextlib import AsyncExitStack

from actorllama import aio

stack = AsyncExitStack()
rt = await stack.enter_async_context(aio.open_runtime())
model = await rt.load("demo", n_threads=1)

# %%
async with model.stream("Once upon a time", max_tokens=32, seed=7) as turn:
    async for piece in turn:
        print(piece.text, end="")

# %%
chat = model.conversation("Be brief.", temperature=0.0)
reply = await chat.say("what is 2 plus 3?", max_tokens=16)
print(reply.text)

# %%
# Give everything back.
await stack.aclose()
