"""Conversations as values, and several of them."""

import pytest
from attrs import evolve

from actorllama.cli.console.session import Session, free_name
from actorllama.cli.console.talk import Exchange, Speaker, Talk
from actorllama.errors import RequestError

SPEAKER = Speaker(name="demo", path="demo")
HELLO = Exchange(user="hello", reply="hi", seed=4, resume_key="ab")


def talk(name: str = "one", *exchanges: Exchange) -> Talk:
    return Talk(name=name, speaker=SPEAKER, exchanges=exchanges)


def test_an_answered_message_is_undone_whole() -> None:
    before = talk()
    after = before.asking("hello").answered(HELLO)
    assert after.resume_key == "ab"
    assert after.messages == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
    ]
    assert after.undone() == before


def test_a_message_that_was_never_answered_is_undone_first() -> None:
    lost = talk("one", HELLO).asking("and then?")
    assert lost.undone() == talk("one", HELLO)
    assert lost.again(None) == (talk("one", HELLO), "and then?", 0)


def test_telling_again_takes_the_next_seed_or_the_one_that_is_given() -> None:
    assert talk("one", HELLO).again(None) == (talk(), "hello", 5)
    assert talk("one", HELLO).again(9) == (talk(), "hello", 9)
    last = evolve(HELLO, seed=2**32 - 1)
    assert talk("one", last).again(None)[2] == 0


def test_nothing_said_is_nothing_to_undo_or_to_tell_again() -> None:
    with pytest.raises(RequestError, match="nothing was said"):
        talk().undone()
    with pytest.raises(RequestError, match="nothing was said"):
        talk().again(None)


def test_a_fork_has_the_same_past_and_no_file() -> None:
    fork = evolve(talk("one", HELLO), is_saved=True).forked("two")
    assert fork == talk("two", HELLO)


def test_a_conversation_has_all_of_another_if_that_is_where_it_came_from() -> None:
    longer = talk("one", HELLO).answered(evolve(HELLO, user="more"))
    assert longer.has_all_of(talk())
    assert longer.has_all_of(talk("one", HELLO))
    assert longer.has_all_of(talk("one", HELLO).asking("more"))
    assert longer.has_all_of(longer)
    assert longer.asking("x").has_all_of(longer.asking("x"))
    assert not longer.has_all_of(talk("one", HELLO).asking("other"))
    assert not longer.has_all_of(longer.asking("x"))
    assert not talk("one", HELLO).has_all_of(longer)
    assert not longer.has_all_of(talk("one", evolve(HELLO, reply="ho")))


def test_conversations_stand_side_by_side_and_one_is_current() -> None:
    session = Session.of(talk("one")).with_talk(talk("two"))
    assert (session.names, session.current) == (("one", "two"), "two")
    session = session.switched("one")
    assert session.talk == talk("one")
    session = session.with_talk(talk("one", HELLO))
    assert (session.names, session.talk.exchanges) == (("one", "two"), (HELLO,))
    with pytest.raises(RequestError, match="there are one, two"):
        session.switched("three")


def test_a_renamed_conversation_keeps_its_place() -> None:
    session = Session.of(talk("one")).with_talk(talk("two")).renamed("one", talk("trip"))
    assert (session.names, session.current) == (("trip", "two"), "trip")


def test_the_first_free_name_is_taken() -> None:
    assert free_name({"chat-1", "chat-3"}) == "chat-2"
