"""A script: no loop, no ``await``.

::

    python docs/examples/script.py

Ctrl-C stops the turn that runs, and the script goes on where it was.
"""

from __future__ import annotations

import sys

from actorllama import aio


def main() -> None:
    """Take a turn at once, read another one while it runs, and hold a conversation."""
    with aio.open_blocking_runtime() as rt:
        model = rt.load("demo", n_threads=1)
        result = model.complete(messages=[{"role": "user", "content": "what is 2 plus 3?"}], temperature=0.0)
        print(result.text)

        try:
            with model.stream("Once upon a time", max_tokens=32, seed=7) as turn:
                for piece in turn:
                    print(piece.text, end="", flush=True)
            print(f"\n({turn.result.finish_reason})")
        except KeyboardInterrupt:
            print("\n(stopped)", file=sys.stderr)

        chat = model.conversation("Be brief.", temperature=0.0)
        print(chat.say("hello", max_tokens=16).text)
        print(len(chat.messages), "messages")


if __name__ == "__main__":
    main()
