"""Answers are read from bytes as they came, whatever way they were cut."""

from __future__ import annotations

import pytest

from actorllama.bench.peers.http_client import Answer
from actorllama.bench.peers.llama_server import taken_of
from actorllama.errors import EngineError

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def answer(*pieces: bytes) -> Answer:
    return Answer(asked_s=1.0, pieces=[(2.0 + at, piece) for at, piece in enumerate(pieces)])


def test_an_event_came_when_its_last_byte_did() -> None:
    got = answer(HEAD + b"data: a\n", b"\ndata: b\n\nda", b"ta: c\n\n")
    assert list(got.events()) == [(3.0, "a"), (3.0, "b"), (4.0, "c")]


def test_what_is_no_answer_is_an_error() -> None:
    with pytest.raises(EngineError, match="without an answer"):
        answer().json()
    with pytest.raises(EngineError, match="500: broken"):
        answer(b"HTTP/1.1 500 Oh\r\n\r\nbroken").json()
    with pytest.raises(EngineError, match="no JSON"):
        answer(HEAD + b"<html>").json()


def test_a_turn_that_ends_early_is_an_error() -> None:
    event = b'data: {"content": "x", "tokens": [5], "stop": false, "tokens_predicted": 1}\n\n'
    with pytest.raises(EngineError, match="ended early"):
        taken_of(answer(HEAD + event))
    with pytest.raises(EngineError, match="no room"):
        taken_of(answer(HEAD + b'data: {"error": "no room"}\n\n'))


def test_tokens_are_counted_by_what_the_server_has_predicted() -> None:
    first = b'data: {"content": "x", "tokens": [5], "stop": false, "tokens_predicted": 1}\n\n'
    later = b'data: {"content": "yz", "tokens": [7], "stop": false, "tokens_predicted": 4}\n\n'
    end = b'data: {"stop": true, "tokens": [], "tokens_evaluated": 9, "timings": {"prompt_n": 2}}\n\n'
    taken = taken_of(answer(HEAD + first, later + end))
    assert taken.arrivals == ((2.0, 1), (3.0, 3))
    assert (taken.n_tokens, taken.n_prompt, taken.n_computed) == (4, 9, 2)
    assert taken.first_token_s == 1.0
