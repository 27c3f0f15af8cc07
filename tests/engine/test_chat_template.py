from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Thread

import pytest

from actorllama.engine.chat_template import ChatTemplate, Message, messages_from
from actorllama.errors import ChatTemplateError, RequestError
from actorllama.testing.random_vocabulary import CHATML_TEMPLATE

HELLO = [Message(role="system", content="Be terse."), Message(role="user", content="hello")]


DOUBLING = (
    "{{% set ns = namespace(x='0123456789') %}}"
    "{{% for i in range(99) %}}{{% set ns.x = ns.x {} ns.x %}}{{% endfor %}}"
)


def render(source: str, messages: object = None, **variables: object) -> str:
    checked = messages_from(HELLO if messages is None else messages)
    return ChatTemplate(source, bos="<s>", eos="</s>").render(checked, variables=variables)


def refusal(source: str) -> str:
    with pytest.raises(ChatTemplateError) as caught:
        render(source)
    return caught.value.reason


def test_a_conversation_becomes_the_prompt_of_the_models_own_format() -> None:
    expected = (
        "<|im_start|>system\nBe terse.<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert render(CHATML_TEMPLATE) == expected


def test_without_a_generation_prompt_the_last_message_is_the_end() -> None:
    template = ChatTemplate(CHATML_TEMPLATE)
    assert template.render(HELLO, add_generation_prompt=False).endswith("hello<|im_end|>\n")


def test_messages_may_be_dicts() -> None:
    template = ChatTemplate("{{ messages[0]['content'] }}{{ messages[0].role }}")
    assert template.render([{"role": "user", "content": "hi"}]) == "hiuser"


def test_the_texts_of_bos_and_eos_are_there() -> None:
    assert render("{{ bos_token }}x{{ eos_token }}") == "<s>x</s>"


def test_a_switch_of_the_template_can_be_set() -> None:
    assert render("{% if enable_thinking %}think{% endif %}", enable_thinking=True) == "think"


def test_a_switch_cannot_replace_the_messages() -> None:
    template = ChatTemplate("{{ messages[1].content }}")
    assert template.render(HELLO, variables={"messages": ()}) == "hello"


def test_tools_and_documents_are_none_as_templates_expect() -> None:
    assert render("{{ tools is none and documents is none }}") == "True"


def test_blocks_leave_no_lines_behind() -> None:
    assert render("{% if true %}\n    {% set x = 1 %}\nyes\n{% endif %}\n") == "yes\n"


def test_loop_controls_work() -> None:
    skip = "{% if loop.first %}{% continue %}{% endif %}"
    source = "{% for m in messages %}" + skip + "{{ m.content }}{% break %}{% endfor %}"
    assert render(source) == "hello"


def test_tojson_writes_json_without_html_escapes() -> None:
    assert render("{{ {'a': '<é>'} | tojson }}") == '{"a": "<é>"}'
    assert render("{{ {'a': 1} | tojson(indent=1) }}") == '{\n "a": 1\n}'


def test_the_generation_tag_of_trainers_is_passed_through() -> None:
    assert render("{% generation %}{{ messages[1].content }}{% endgeneration %}!") == "hello!"


def test_the_clock_is_the_one_given() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }}", now=lambda: datetime(2024, 7, 26, tzinfo=UTC))
    assert template.render(HELLO) == "26 Jul 2024"


def test_the_clock_is_the_machines_by_default() -> None:
    assert render("{{ strftime_now('%Y') }}") >= "2024"


def test_a_model_without_a_template_is_told_and_nothing_is_guessed() -> None:
    for none in (None, "", "  \n"):
        with pytest.raises(ChatTemplateError, match="brings none"):
            ChatTemplate(none)


def test_what_the_template_refuses_is_said_in_its_words() -> None:
    assert refusal("{{ raise_exception('roles must alternate') }}") == "roles must alternate"


def test_a_broken_template_is_refused_when_it_is_compiled_with_its_line() -> None:
    with pytest.raises(ChatTemplateError, match="line 2 is not valid"):
        ChatTemplate("ok\n{% if %}")


@pytest.mark.parametrize(
    "source",
    ["{{" * 5000, "{% if 1 %}" * 2000 + "{% endif %}" * 2000, "{{ " + "(" * 5000 + ")" * 5000 + " }}"],
)
def test_a_template_nested_without_end_is_refused(source: str) -> None:
    with pytest.raises(ChatTemplateError, match="nested too deeply"):
        ChatTemplate(source)


def test_an_enormous_template_is_refused() -> None:
    with pytest.raises(ChatTemplateError, match="more than any template"):
        ChatTemplate("x" * 1_000_001)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ messages[0].nope.nope }}",
        "{{ messages[99].role }}",
        "{{ 'a' + 1 }}",
        "{{ nothing() }}",
        "{{ nothing | tojson }}",
        "{% include 'other' %}",
        "{{ range(10000000) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_whatever_a_template_does_wrong_is_a_typed_error(source: str) -> None:
    assert refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ messages.__len__() }}",
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ strftime_now.__globals__.os }}",
        "{{ self._TemplateReference__context.environment }}",
    ],
)
def test_a_template_reaches_nothing_of_python(source: str) -> None:
    assert "unsafe" in refusal(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ [1] * 1000000000 }}",
        DOUBLING.format("~"),
        DOUBLING.format("+"),
        "{% set x = 'a' * 10000000 %}{{ x }}{{ x }}",
        "{{ 10 ** 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ 'a\nb' | indent(1000000000) }}",
    ],
)
def test_a_template_that_makes_an_enormous_text_is_stopped_before_it_does(source: str) -> None:
    reason = refusal(source)
    assert any(word in reason for word in ("more than", "very wide", "enormous", "unsafe", "very far"))


@pytest.mark.parametrize("source", ["{{ 'a' | center(9) }}", "{{ [1] | batch(9) }}", "{{ lipsum() }}"])
def test_what_only_makes_texts_long_is_not_there(source: str) -> None:
    with pytest.raises(ChatTemplateError):
        render(source)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(50) }}",
    ],
)
def test_a_template_that_hardly_ends_is_stopped(source: str) -> None:
    assert "steps" in refusal(source)


def test_ordinary_formatting_still_works() -> None:
    assert (
        render("{{ '%05.1f' % 3.14159 }}{{ '%s!' | format('a') }}{{ '{:>4}'.format('b') }}") == "003.1a!   b"
    )
    assert (
        render("{{ 'a\nb' | indent(2, true) }}{{ 2 ** 10 }}{{ 'ab' * 2 }}{{ 'a' ~ 1 }}")
        == "  a\n  b1024ababa1"
    )


def test_one_budget_is_for_one_render_only() -> None:
    template = ChatTemplate("{% for a in range(90000) %}{% endfor %}done")
    assert [template.render(HELLO) for _ in range(12)] == ["done"] * 12


def test_threads_may_render_at_once() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}")
    texts = {f"thread {index}" for index in range(8)}
    seen: set[str] = set()

    def work(text: str) -> None:
        seen.update(template.render([Message(role="user", content=text)]) for _ in range(50))

    threads = [Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == seen


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ("hello", "messages"),
        ({"role": "user", "content": "x"}, "messages"),
        (None, "messages"),
        (7, "messages"),
        ([], "messages"),
        ((), "messages"),
        (["hello"], "messages[0]"),
        ([None], "messages[0]"),
        ([{"role": "user", "content": "x"}, {"role": "user"}], "messages[1].content"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": 1, "content": "x"}], "messages[0].role"),
        ([{"role": "User", "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": b"x"}], "messages[0].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content"),
        ([{"role": "user", "content": "\ud800"}], "messages[0].content"),
        ([{"role": "user", "content": "x", "name": "y"}], "messages[0]"),
        ([{1: 2}], "messages[0]"),
    ],
)
def test_what_is_no_message_is_the_requests_fault(messages: object, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        messages_from(messages)
    assert caught.value.field == field


def test_rendering_checks_the_messages_too() -> None:
    bad: list[Mapping[str, object]] = [{"role": "robot", "content": "x"}]
    with pytest.raises(RequestError, match="must be one of system, developer, user, assistant, tool"):
        ChatTemplate("x").render(bad)


def test_messages_that_are_messages_stay_as_they_are() -> None:
    assert messages_from(HELLO) == tuple(HELLO)
