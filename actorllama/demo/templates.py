"""All questions that the demo model can answer, as finite lists per family.

Each family is a small grammar: frames times arguments. Lists, not random draws, so that "held out" can be
decided per prompt and the whole space can be counted.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from actorllama.demo.exchange import Exchange
from actorllama.demo.topics import ERLANG_TOPICS, LIBRARY_TOPICS, Topic
from actorllama.demo.words import ANIMALS, NAMES, WORDS

__all__ = ["FAMILIES", "NAME_QUESTIONS", "TELL_FRAMES", "UNKNOWN_NAME", "recalled_name", "told_name"]

_LARGEST_TERM = 20
_LARGEST_COUNT = 50
_LONGEST_COUNT = 20

_GREETINGS = {
    "Hello": "Hello! How can I help you?",
    "Hi": "Hello! How can I help you?",
    "Hey": "Hello! How can I help you?",
    "Greetings": "Hello! How can I help you?",
    "Good morning": "Good morning! How can I help you?",
    "Good afternoon": "Good afternoon! How can I help you?",
    "Good evening": "Good evening! How can I help you?",
    "Thanks": "You are welcome.",
    "Thank you": "You are welcome.",
    "Many thanks": "You are welcome.",
    "Goodbye": "Goodbye!",
    "Bye": "Goodbye!",
    "See you": "Goodbye!",
    "How are you": "I am well, thank you.",
    "How do you do": "I am well, thank you.",
}
_GREETING_FRAMES = (
    "{}!", "{} there!", "{}, model!", "{}, my friend!", "{}, dear model!", "{}, everyone!", "{} again!",
    "{}, demo!", "Oh, {}!", "Well, {}!", "{}, little model!", "{}, llama!", "{} and all the best!",
    "{} to you!", "{}, computer!", "{}, small one!",
)  # fmt: skip
_SUM_FRAMES = (
    "What is {a} plus {b}?", "What is {a} + {b}?", "{a} + {b}", "{a} + {b} =",
    "How much is {a} plus {b}?", "Add {a} and {b}.", "Please add {a} and {b}.", "Compute {a} + {b}.",
    "Can you add {a} and {b}?", "Tell me the sum of {a} and {b}.", "What is the sum of {a} and {b}?",
    "How much is {a} + {b}?",
    "What's {a} plus {b}?", "What's {a} + {b}?", "{a}+{b}", "What is {a}+{b}?",
)  # fmt: skip
_COUNT_FRAMES = (
    "Count from {a} to {b}.", "Please count from {a} to {b}.", "Can you count from {a} to {b}?",
    "Count up from {a} to {b}.", "List the numbers from {a} to {b}.", "Say the numbers from {a} to {b}.",
)  # fmt: skip
_SPELL_FRAMES = (
    "Spell {}.", "Spell the word {}.", "Please spell {}.", "Please spell the word {}.",
    "Can you spell {}?", "Can you spell the word {}?", "How do you spell {}?", "How is {} spelled?",
    "How is the word {} spelled?", "Spell {} letter by letter.", "Tell me the letters of {}.",
    "What are the letters of {}?",
)  # fmt: skip
_REVERSE_FRAMES = (
    "Reverse {}.", "Reverse the word {}.", "Please reverse {}.", "Please reverse the word {}.",
    "Can you reverse {}?", "Can you reverse the word {}?", "What is {} reversed?",
    "What is {} backwards?", "Write {} backwards.", "Please write {} backwards.", "Say {} backwards.",
    "What is the reverse of {}?",
    "What's {} backwards?",
)  # fmt: skip
TELL_FRAMES: tuple[str, ...] = (
    "My name is {}.", "I am {}.", "Hello, my name is {}.", "Hi, I am {}.", "Call me {}.",
    "Please call me {}.", "You can call me {}.", "Hello, I am {}.", "The name is {}.", "They call me {}.",
    "I'm {}.", "Hi, I'm {}.", "Hello, I'm {}.", "My name's {}.", "Hi! I am {}.", "Hi! My name is {}.",
)  # fmt: skip
_SUBJECT_FRAMES = (
    "What is {}?", "What are {}?", "What does {} mean?", "Explain {}.", "Please explain {}.",
    "Can you explain {}?", "Tell me about {}.", "Please tell me about {}.", "Can you tell me about {}?",
    "Define {}.", "Describe {}.", "Please describe {}.", "What do you know about {}?",
    "I want to know about {}.", "What is meant by {}?", "{}?", "What about {}?",
    "Say something about {}.", "Explain {} to me.", "Explain {} in a sentence.",
    "What's {}?",
)  # fmt: skip
_CLAUSE_FRAMES = (
    "{}?", "Please tell me {}.", "Can you tell me {}?", "Tell me {}.", "I want to know {}.",
    "Do you know {}?", "I wonder {}.", "Please explain {}.", "One question: {}?", "Can you say {}?",
)  # fmt: skip
_STORY_FRAMES = (
    "Tell me a story about a {}.", "Please tell me a story about a {}.",
    "Can you tell me a story about a {}?", "Write a story about a {}.", "I want a story about a {}.",
    "A story about a {}, please.", "Tell a short story about a {}.", "Please write a story about a {}.",
)  # fmt: skip
_STORY = (
    "Once upon a time there was a {hero} who lived near the {place}. One day it met a {friend}. "
    "They shared some {food} and watched the {sight}. From then on the {hero} and the {friend} were friends."
)
_UNKNOWN_ANSWER = "I am only a tiny demo model and do not know that."
_UNKNOWN_FRAMES = (
    "What is the capital of {}?", "Who is the president of {}?", "What is the weather in {}?",
    "Where is {}?", "How many people live in {}?", "Who wrote about {}?", "What is the price of {}?",
    "How old is {}?", "Translate {} into Spanish.", "Why is {} so big?", "When was {} built?",
    "How far is {}?",
)  # fmt: skip
_UNKNOWN_SUBJECTS = (
    "France", "Spain", "Japan", "Brazil", "London", "Paris", "Rome", "China", "Kenya", "the moon",
    "the sun", "gold", "Canada", "India", "Berlin", "Peru", "Egypt", "New York", "the ocean", "the world",
)  # fmt: skip

NAME_QUESTIONS: tuple[str, ...] = (
    "What is my name?", "Who am I?", "Do you remember my name?", "Tell me my name.",
    "What did I say my name was?", "Can you tell me my name?", "Do you know my name?",
    "Please say my name.", "What am I called?",
    "What's my name?", "And what is my name?",
)  # fmt: skip
UNKNOWN_NAME = "You have not told me your name."


def recalled_name(name: str) -> str:
    """Answer a name question after the user has told the name."""
    return f"Your name is {name}."


def told_name(name: str, frame: str) -> Exchange:
    """Let the user tell a name in one of `TELL_FRAMES`."""
    return Exchange(family="names", prompt=frame.format(name), answer=f"Nice to meet you, {name}.", name=name)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _greetings() -> Iterator[Exchange]:
    for phrase, answer in _GREETINGS.items():
        for frame in _GREETING_FRAMES:
            said = phrase if frame.startswith("{}") else phrase[:1].lower() + phrase[1:]
            yield Exchange(family="greetings", prompt=frame.format(said), answer=answer)


def _sums() -> Iterator[Exchange]:
    for a in range(_LARGEST_TERM + 1):
        for b in range(_LARGEST_TERM + 1):
            for frame in _SUM_FRAMES:
                yield Exchange(family="sums", prompt=frame.format(a=a, b=b), answer=f"{a} + {b} = {a + b}.")


def _counting() -> Iterator[Exchange]:
    for a in range(_LARGEST_COUNT):
        for b in range(a + 1, min(a + _LONGEST_COUNT, _LARGEST_COUNT) + 1):
            answer = " ".join(str(n) for n in range(a, b + 1))
            for frame in _COUNT_FRAMES:
                yield Exchange(family="counting", prompt=frame.format(a=a, b=b), answer=answer)


def _spelling() -> Iterator[Exchange]:
    for word in WORDS:
        for frame in _SPELL_FRAMES:
            yield Exchange(family="spelling", prompt=frame.format(word), answer=" ".join(word))


def _reversing() -> Iterator[Exchange]:
    for word in WORDS:
        for frame in _REVERSE_FRAMES:
            yield Exchange(family="reversing", prompt=frame.format(word), answer=word[::-1])


def _names() -> Iterator[Exchange]:
    for name in NAMES:
        for frame in TELL_FRAMES:
            yield told_name(name, frame)


def _topics(family: str, topics: tuple[Topic, ...]) -> Iterator[Exchange]:
    for topic in topics:
        for frames, phrases in ((_SUBJECT_FRAMES, topic.subjects), (_CLAUSE_FRAMES, topic.clauses)):
            for phrase in phrases:
                for frame in frames:
                    prompt = _capitalised(frame.format(phrase))
                    yield Exchange(family=family, prompt=prompt, answer=topic.answer)


def _library() -> Iterator[Exchange]:
    yield from _topics("library", LIBRARY_TOPICS)


def _erlang() -> Iterator[Exchange]:
    yield from _topics("erlang", ERLANG_TOPICS)


def _stories() -> Iterator[Exchange]:
    places, foods, sights = ("forest", "river", "hill"), ("bread", "honey", "corn", "milk"), ("moon", "stars")
    for i, hero in enumerate(ANIMALS):
        story = _STORY.format(
            hero=hero,
            friend=ANIMALS[(i + 4) % len(ANIMALS)],
            place=places[i % len(places)],
            food=foods[i % len(foods)],
            sight=sights[i % len(sights)],
        )
        for frame in _STORY_FRAMES:
            yield Exchange(family="stories", prompt=frame.format(hero), answer=story)


def _unknown() -> Iterator[Exchange]:
    for subject in _UNKNOWN_SUBJECTS:
        for frame in _UNKNOWN_FRAMES:
            yield Exchange(family="unknown", prompt=frame.format(subject), answer=_UNKNOWN_ANSWER)


FAMILIES: Mapping[str, Callable[[], Iterator[Exchange]]] = MappingProxyType(
    {
        "greetings": _greetings,
        "sums": _sums,
        "counting": _counting,
        "spelling": _spelling,
        "reversing": _reversing,
        "names": _names,
        "library": _library,
        "erlang": _erlang,
        "stories": _stories,
        "unknown": _unknown,
    }
)
