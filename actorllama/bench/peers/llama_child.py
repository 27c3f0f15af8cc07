"""llama-cpp-python's ``Llama`` with its RAM cache, told what to do by lines: ``python llama_child.py ORDER``.

It stands alone (the standard library and llama-cpp-python), so that it runs in any interpreter that has them:
it belongs to the peer and not to actorllama.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Protocol, TextIO, cast

__all__: list[str] = []


class _Scores(Protocol):
    def __setitem__(self, at: Sequence[int], value: float) -> None: ...


class _Generate(Protocol):
    def __call__(self, *given: object, **options: object) -> Iterator[int]: ...


class _MakeLlama(Protocol):
    def __call__(self, **options: object) -> _Llama: ...


class _MakeCache(Protocol):
    def __call__(self, *, capacity_bytes: object) -> _Cache: ...


class _Llama(Protocol):
    eval: Callable[[Sequence[int]], None]
    generate: _Generate

    def create_completion(self, prompt: list[int], **options: object) -> Iterator[object]: ...

    def set_cache(self, cache: object) -> None: ...

    def token_eos(self) -> int: ...


class _Cache(Protocol):
    cache_size: int


class _Module(Protocol):
    Llama: _MakeLlama
    LlamaRAMCache: _MakeCache
    LogitsProcessorList: Callable[[list[object]], object]


class _Child:
    """One ``Llama``: it takes one turn after the other. Owner: the process."""

    def __init__(self, order: MutableMapping[str, object], answers: TextIO) -> None:
        module = cast("_Module", importlib.import_module("llama_cpp"))
        n_threads = order["n_threads"]
        self._llama = module.Llama(
            model_path=order["model"],
            n_ctx=order["ctx_per_slot"],
            n_batch=512,
            n_ubatch=512,
            n_threads=n_threads,
            n_threads_batch=n_threads,
            flash_attn=False,
            logits_all=False,
            verbose=False,
        )
        self._answers = answers
        self._cache: _Cache | None = None
        if order["ram_cache_bytes"]:
            self._cache = module.LlamaRAMCache(capacity_bytes=order["ram_cache_bytes"])
            self._llama.set_cache(self._cache)
        n_banned = cast("int", order["n_banned"])
        banned = [self._llama.token_eos(), *range(128, 128 + n_banned)]

        def ban(_tokens: object, scores: _Scores) -> _Scores:
            scores[banned] = -math.inf
            return scores

        self._processors = module.LogitsProcessorList([ban])
        self._chosen: list[int] = []
        self._n_computed = 0
        self._watch()

    def _watch(self) -> None:
        # ``create_completion`` tells text; which tokens it chose and computed is seen one call below it.
        generate, evaluate = self._llama.generate, self._llama.eval

        def watched_generate(*given: object, **options: object) -> Iterator[int]:
            for token in generate(*given, **options):
                self._chosen.append(token)
                yield token

        def watched_eval(tokens: Sequence[int]) -> None:
            if not self._chosen:
                self._n_computed += len(tokens)
            evaluate(tokens)

        self._llama.generate, self._llama.eval = watched_generate, watched_eval

    def turn(self, order: MutableMapping[str, object]) -> None:
        self._chosen.clear()
        self._n_computed = 0
        arrivals: list[tuple[float, int]] = []
        n_told = 0
        for _chunk in self._llama.create_completion(
            cast("list[int]", order["prompt"]),
            max_tokens=order["n_reply"],
            temperature=0.0,
            logits_processor=self._processors,
            stream=True,
        ):
            if len(self._chosen) > n_told:
                arrivals.append((time.perf_counter(), len(self._chosen) - n_told))
                n_told = len(self._chosen)
        self.tell(order, arrivals=arrivals, reply=self._chosen, n_computed=self._n_computed)

    def cache(self, order: MutableMapping[str, object]) -> None:
        self.tell(order, n_bytes=0 if self._cache is None else int(self._cache.cache_size))

    def tell(self, order: MutableMapping[str, object], **answer: object) -> None:
        print(json.dumps({"number": order["number"], **answer}), file=self._answers, flush=True)


def _main() -> None:
    # Whatever the library prints goes to the log: the answers have the pipe for themselves.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers, contextlib.redirect_stdout(sys.stderr):
        os.dup2(2, 1)
        child = _Child(json.loads(sys.argv[1]), answers)
        child.tell({"number": 0})
        for line in sys.stdin:
            order = json.loads(line)
            child.turn(order) if order["op"] == "turn" else child.cache(order)


if __name__ == "__main__":
    _main()
