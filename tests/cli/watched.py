"""A runtime to be watched, in a process of its own: ``python watched.py STATE_DIR``.

It says ``ready`` when its model is, tells stories until its standard input ends, and then closes in order.
"""

from __future__ import annotations

import sys

import trio

from actorllama import demo, open_runtime


async def main(state_dir: str) -> None:
    async with open_runtime(state_dir=state_dir) as rt:
        model = await rt.load("chat", demo.model_path(), n_seq=2, ctx_per_seq=512, n_threads=1)

        async def talk() -> None:
            while True:
                await model.complete("the secret word", max_tokens=16, temperature=0.0)
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
