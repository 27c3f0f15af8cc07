"""Speaks as much of llama-server's API as the bench asks for; its replies are a function of the prompt.

A test copies it, with the interpreter in its first line, and gives the copy as the program.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import cast

import trio

ARGUMENTS = dict(zip(sys.argv[1:-1], sys.argv[2:], strict=True))
SAVED = Path(ARGUMENTS["--slot-save-path"])
SLOTS: dict[int, list[int]] = {}
FAILS = os.environ.get("FAKE_FAILS", "")
"""health: it ends at once; completion: it refuses turns; tokens: replies change from process to process."""


def reply_to(prompt: list[int], n_tokens: int) -> list[int]:
    salt = os.getpid() if FAILS == "tokens" else 0
    digest = hashlib.shake_128(f"{salt} {prompt}".encode()).digest(n_tokens)
    return [3 + byte % 64 for byte in digest]


def event(**data: object) -> bytes:
    line = b"data: %s\n\n" % json.dumps(data).encode()
    return b"%x\r\n%s\r\n" % (len(line), line)


async def complete(client: trio.SocketStream, asked: dict[str, object]) -> None:
    prompt, n_tokens = cast("list[int]", asked["prompt"]), cast("int", asked["n_predict"])
    if fifo := os.environ.get("FAKE_HANGS"):
        await trio.Path(fifo).write_text(str(os.getpid()))
        await trio.sleep_forever()
    had = max((len(cells) for cells in SLOTS.values() if prompt[: len(cells)] == cells), default=0)
    reply = reply_to(prompt, n_tokens)
    slot = asked.get("id_slot", len(SLOTS))
    assert isinstance(slot, int)
    SLOTS[slot] = prompt + reply
    await client.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for n_told, token in enumerate(reply, 1):
        await client.send_all(event(content="x", tokens=[token], stop=False, tokens_predicted=n_told))
    timings = {"prompt_n": len(prompt) - had}
    await client.send_all(event(stop=True, tokens=[], tokens_evaluated=len(prompt), timings=timings))
    await client.send_all(b"0\r\n\r\n")


async def answer(client: trio.SocketStream) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await client.receive_some(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    (size,) = re.findall(rb"Content-Length: (\d+)", head)
    while len(body) < int(size):
        body += await client.receive_some(65_536)
    path = head.split(b" ")[1].decode()
    if path == "/completion" and FAILS == "completion":
        await client.send_all(b"HTTP/1.1 500 Internal Server Error\r\n\r\nout of order")
    elif path == "/completion":
        await complete(client, json.loads(body))
    else:
        if found := re.fullmatch(r"/slots/(\d+)\?action=(save|restore)", path):
            slot, file = int(found[1]), SAVED / json.loads(body)["filename"]
            if found[2] == "save":
                file.write_text(json.dumps(SLOTS[slot]))
            else:
                SLOTS[slot] = json.loads(file.read_text())
        await client.send_all(b"HTTP/1.1 200 OK\r\n\r\n{}")
    await client.aclose()


async def main() -> None:
    if FAILS == "health":
        sys.exit("the model is too large")
    await trio.serve_tcp(answer, int(ARGUMENTS["--port"]), host="127.0.0.1")


if __name__ == "__main__":
    trio.run(main)
