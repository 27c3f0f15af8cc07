"""The held-out list: fixed, of the promised size, and a chat that any template can render."""

import subprocess
import sys

from actorllama.demo import HeldOut, heldout_prompts
from actorllama.demo.exchange import is_heldout
from actorllama.demo.templates import FAMILIES


def test_there_are_two_hundred_different_questions() -> None:
    exam = heldout_prompts()
    assert len(exam) == 200
    assert len({question.key_prompt for question in exam}) == 200


def test_the_list_is_the_same_every_time() -> None:
    assert heldout_prompts() == heldout_prompts()


def test_every_family_is_asked() -> None:
    assert {question.family for question in heldout_prompts()} == set(FAMILIES)


def test_every_key_prompt_is_held_out_and_said_by_the_user() -> None:
    for question in heldout_prompts():
        assert is_heldout(question.key_prompt)
        assert {"role": "user", "content": question.key_prompt} in [dict(m) for m in question.messages]


def test_every_conversation_ends_with_the_user() -> None:
    assert {question.messages[-1]["role"] for question in heldout_prompts()} == {"user"}


def test_some_conversations_have_a_system_message_and_some_have_none() -> None:
    n_with_system = sum(question.messages[0]["role"] == "system" for question in heldout_prompts())
    assert 60 < n_with_system < 140


def test_names_are_asked_for_two_turns_after_they_were_told() -> None:
    names = [question for question in heldout_prompts() if question.family == "names"]
    assert all(_n_turns_between(question) == 2 for question in names)


def test_the_door_opens_without_numpy_and_torch() -> None:
    code = "import sys, actorllama.demo; sys.exit(bool({'torch', 'numpy', 'tokenizers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _n_turns_between(question: HeldOut) -> int:
    users = [m["content"] for m in question.messages if m["role"] == "user"]
    return len(users) - 1 - users.index(question.key_prompt)
