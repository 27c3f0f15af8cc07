"""The training text: what is drawn, and what must never be drawn."""

from itertools import islice

import numpy as np

from actorllama.demo.corpus import Piece, conversation, tale, training_exchanges
from actorllama.demo.exchange import digest_of, is_heldout
from actorllama.demo.heldout import heldout_prompts
from actorllama.demo.templates import FAMILIES


def _pieces(seed: int, n_pieces: int = 400) -> list[Piece]:
    return list(islice(conversation(training_exchanges(), np.random.default_rng(seed)), n_pieces))


def test_the_same_seed_draws_the_same_text() -> None:
    assert _pieces(7) == _pieces(7)
    assert tale(np.random.default_rng(7)) == tale(np.random.default_rng(7))


def test_another_seed_draws_other_text() -> None:
    assert _pieces(7) != _pieces(8)


def test_no_drawn_user_message_is_held_out() -> None:
    drawn = {digest_of(p.content) for seed in range(10) for p in _pieces(seed) if p.role == "user"}
    assert drawn.isdisjoint({digest_of(question.key_prompt) for question in heldout_prompts()})


def test_no_exchange_that_training_may_draw_is_held_out() -> None:
    assert [e for exchanges in training_exchanges().values() for e in exchanges if is_heldout(e.prompt)] == []


def test_training_and_held_out_together_are_all_exchanges() -> None:
    for family, exchanges in training_exchanges().items():
        everything = list(FAMILIES[family]())
        n_heldout = sum(is_heldout(e.prompt) for e in everything)
        assert n_heldout > 0
        assert len(exchanges) + n_heldout == len(everything)


def test_case_and_closing_punctuation_do_not_move_a_prompt_across_the_split() -> None:
    assert digest_of("What is a slot?") == digest_of("what is a slot") == digest_of("WHAT IS A SLOT.")


def test_no_prompt_has_two_answers() -> None:
    answers: dict[bytes, str] = {}
    for make in FAMILIES.values():
        for exchange in make():
            assert answers.setdefault(digest_of(exchange.prompt), exchange.answer) == exchange.answer


def test_users_and_the_assistant_take_turns() -> None:
    roles = [p.role for p in _pieces(3) if p.role != "system"]
    assert set(roles[0::2]) == {"user"}
    assert set(roles[1::2]) == {"assistant"}


def test_a_name_question_is_answered_with_the_name_told_last() -> None:
    for question in heldout_prompts():
        if question.family == "names":
            assert question.expected.removeprefix("Your name is ") in question.key_prompt + "."


def test_what_everyone_types_first_is_trained() -> None:
    trained = {e.prompt for exchanges in training_exchanges().values() for e in exchanges}
    assert {"Hello!", "Hi!", "Who are you?", "What is actorllama?", "What is a supervisor?"} <= trained
