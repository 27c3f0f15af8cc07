import pytest

from actorllama.cli.conversation import COMMANDS_HELP, Conversation, Quit, Say, Tell, decide

TALK = Conversation(system="Be brief.", turns=(("Hi", "Hello!"),))


def test_the_model_sees_everything_that_was_said() -> None:
    assert TALK.after("How?", "So.").messages_with("Why?") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "Why?"},
    ]


def test_without_instructions_there_is_no_system_message() -> None:
    assert Conversation().messages_with("Hi") == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("", None),
        ("  \n", None),
        (" Hello ", Say(text="Hello")),
        ("/quit", Quit()),
        ("/exit", Quit()),
        ("/help", Tell(notice=COMMANDS_HELP, conversation=TALK)),
        ("/new", Tell(notice="(a new conversation)", conversation=Conversation(system="Be brief."))),
        (
            "/system  Rhyme. ",
            Tell(
                notice="(a new conversation with these instructions)",
                conversation=Conversation(system="Rhyme."),
            ),
        ),
        ("/fly me", Tell(notice="/fly is no command; /help lists them", conversation=TALK)),
    ],
)
def test_a_line_is_a_command_or_something_to_say(line: str, step: object) -> None:
    assert decide(line, TALK) == step
