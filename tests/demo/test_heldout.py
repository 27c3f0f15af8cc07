"""The exam, taken through the public face of the library: the embedded model must answer what it promises."""

from collections.abc import Mapping

import pytest

import actorllama
from actorllama.demo import HeldOut, heldout_prompts

_REQUIRED_SHARE = 0.9


@pytest.mark.model
async def test_the_demo_model_answers_nine_of_ten_held_out_prompts_to_the_letter() -> None:
    wrong: list[tuple[HeldOut, str]] = []
    exam = heldout_prompts()
    async with actorllama.open_runtime() as rt:
        model = await rt.load("demo")
        for question in exam:
            messages: list[Mapping[str, str]] = [dict(message) for message in question.messages]
            result = await model.complete(messages=messages, max_tokens=96, temperature=0.0)
            if result.text != question.expected:
                wrong.append((question, result.text))
    assert len(wrong) <= (1 - _REQUIRED_SHARE) * len(exam), wrong
