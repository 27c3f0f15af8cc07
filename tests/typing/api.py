"""Programs as users write them; they are never run, they must type-check.

``assert_type`` pins what a reader of the documentation expects of each expression.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import trio

import actorllama
from actorllama import Config, Message, Model, Runtime, TextPiece, Turn, TurnResult
from actorllama.errors import Busy, ContextFull, ModelUnavailable, RequestError, TurnTimeout
from actorllama.telemetry import Bus, Event, Measurements, Metadata, attach_structlog, declare_span


async def complete_a_prompt(path: Path) -> str:
    config = actorllama.load_config(toml_path=Path("actorllama.toml"), arguments={"context.n_seq": 4})
    assert_type(config, Config)
    async with actorllama.open_runtime(config) as rt:
        assert_type(rt, Runtime)
        model = await rt.load("chat", path, n_seq=8, ctx_per_seq=8192)
        assert_type(model, Model)
        result = await model.complete(
            "Once upon a time", max_tokens=64, seed=7, temperature=0.0, stop=["\n\n"]
        )
        assert_type(result, TurnResult)
        assert_type(result.text, str)
        assert_type(result.tokens, tuple[int, ...])
        assert_type(result.usage.n_total, int)
        assert_type(result.timings.first_token_s, float)
        await rt.unload("chat", grace_s=1.0)
        return result.text


async def stream_a_chat() -> TurnResult:
    async with actorllama.open_runtime() as rt:
        model = await rt.load("demo")
        messages = [{"role": "user", "content": "hello"}]
        async with model.stream(messages=messages, max_tokens=256) as turn:
            assert_type(turn, Turn)
            async for piece in turn:
                assert_type(piece, TextPiece)
                assert_type(piece.text, str)
        return turn.result


async def answer_side_by_side(rt: Runtime, prompts: list[str]) -> Mapping[str, str]:
    model = rt.model("demo")
    answers: dict[str, str] = {}

    async def answer(prompt: str) -> None:
        result = await model.complete(messages=[Message(role="user", content=prompt)], timeout_s=30)
        answers[prompt] = result.text

    async with trio.open_nursery() as nursery:
        for prompt in prompts:
            nursery.start_soon(answer, prompt)
    return answers


async def deal_with_what_goes_wrong(model: Model, prompt: str) -> str:
    try:
        return (await model.complete(prompt, timeout_s=5.0)).text
    except RequestError as error:
        return f"{assert_type(error.field, str)}: {error.reason}"
    except ContextFull as error:
        return f"{assert_type(error.n_tokens, int)} of {error.n_ctx}"
    except TurnTimeout as error:
        return f"later than {assert_type(error.timeout_s, float)}"
    except (Busy, ModelUnavailable) as error:
        return assert_type(error.model, str)


REQUEST = declare_span(
    ("shop", "request"),
    doc="a request",
    measurements=("n_tokens",),
    metadata=("customer",),
    result=("status",),
)


def count_tokens(
    _event: Event, measurements: Measurements, _metadata: Metadata, totals: dict[str, float]
) -> None:
    totals["n_tokens"] = totals.get("n_tokens", 0.0) + measurements.get("n_tokens", 0.0)


async def listen(rt_path: Path) -> float:
    bus = Bus()
    totals: dict[str, float] = {}
    bus.attach("totals", ("engine", "turn"), count_tokens, totals)
    attach_structlog(bus)
    async with actorllama.open_runtime(bus=bus) as rt:
        model = await rt.load("demo", rt_path)
        with bus.span(REQUEST, {"customer": "ada"}) as span:
            result = await model.complete("hello")
            span.measure(n_tokens=result.usage.n_total)
            span.note(status="served")
    assert_type(bus.detach("totals"), bool)
    return totals["n_tokens"]
