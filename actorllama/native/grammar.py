"""The constraint of a request, in whichever notation, as one compiled grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from actorllama.errors import RequestError

if TYPE_CHECKING:  # most requests have no constraint: its compiler is loaded with the first that has one
    from actorllama.native.grammar_program import GrammarProgram

__all__ = ["GrammarRequest", "choice_to_gbnf", "compile_gbnf"]

_MAX_CHOICES = 1000
_MAX_TRIGGERS = 32
_MAX_TRIGGER_CHARS = 1000


@frozen(kw_only=True)
class GrammarRequest:
    """What a request says about the form of its text; at most one of the first four is given."""

    grammar: str | None = None
    json_schema: Mapping[str, object] | None = None
    regex: str | None = None
    choice: Sequence[str] | None = None
    triggers: Sequence[str] = ()
    trigger_patterns: Sequence[str] = ()
    trigger_tokens: Sequence[int] = ()

    @property
    def is_lazy(self) -> bool:
        """Whether the grammar waits for a trigger."""
        return bool(self.triggers or self.trigger_patterns or self.trigger_tokens)

    def check(self, *, n_vocab: int) -> None:
        """Refuse what cannot be compiled.

        Raises:
            RequestError: With the field and what is wrong with it.
        """
        for token in self.trigger_tokens:
            if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < n_vocab:
                reason = f"token ids are 0 to {n_vocab - 1}"
                raise RequestError(field="grammar_trigger_tokens", value=token, reason=reason)
        self.trigger_programs()
        found = self.gbnf()
        if found is not None:
            compile_gbnf(*found)
        elif self.is_lazy:
            raise RequestError(field="grammar_triggers", value=None, reason="there is no grammar to trigger")

    def gbnf(self) -> tuple[str, str] | None:
        """Return the grammar as GBNF, and the field it comes from; ``None`` if there is no constraint.

        Raises:
            RequestError: It cannot be expressed, or two are given.
        """
        given = {
            "grammar": self.grammar,
            "json_schema": self.json_schema,
            "regex": self.regex,
            "choice": self.choice,
        }
        fields = [name for name, value in given.items() if value is not None]
        if len(fields) > 1:
            reason = f"{' and '.join(fields)} are given; a turn has one constraint"
            raise RequestError(field=fields[1], value=given[fields[1]], reason=reason)
        if self.json_schema is not None:
            from actorllama.native.grammar_schema import schema_to_gbnf  # half a megabyte that few need

            return schema_to_gbnf(self.json_schema), "json_schema"
        if self.regex is not None:
            from actorllama.native.grammar_regex import regex_to_gbnf  # as above

            return regex_to_gbnf(self.regex, source="regex"), "regex"
        if self.choice is not None:
            return choice_to_gbnf(self.choice), "choice"
        return None if self.grammar is None else (self.grammar, "grammar")

    def trigger_programs(self) -> list[GrammarProgram]:
        """Compile the texts and patterns to wait for.

        Raises:
            RequestError: One of them is empty, too long or no pattern.
        """
        if len(self.triggers) + len(self.trigger_patterns) > _MAX_TRIGGERS:
            n = len(self.triggers) + len(self.trigger_patterns)
            raise RequestError(field="grammar_triggers", value=n, reason=f"at most {_MAX_TRIGGERS}")
        if not self.triggers and not self.trigger_patterns:
            return []
        from actorllama.native.grammar_chars import spelled_text
        from actorllama.native.grammar_machine import GrammarMachine

        sources = [
            (f"root ::= {spelled_text(_checked(text, 'grammar_triggers'))}", "grammar_triggers")
            for text in self.triggers
        ]
        if self.trigger_patterns:
            from actorllama.native.grammar_regex import regex_to_gbnf  # as above

            name = "grammar_trigger_patterns"
            sources += [(regex_to_gbnf(_checked(p, name), source=name), name) for p in self.trigger_patterns]
        programs: list[GrammarProgram] = []
        for text, source in sources:
            program = compile_gbnf(text, source)
            if GrammarMachine(program).initial.accepts:
                raise RequestError(field=source, value=text, reason="matches the empty text")
            programs.append(program)
        return programs


def compile_gbnf(text: str, source: str) -> GrammarProgram:
    """Compile a grammar and make sure that it can begin.

    llama.cpp's own grammars are not used: a token that one does not allow raises a C++ exception,
    which ends the process; an ambiguous one takes exponential time and memory in the engine's thread;
    and what it holds cannot be looked at.

    Raises:
        RequestError: The text is no grammar, left-recursive, or matches nothing.

    Cost: about 2 µs a character.
    """
    from actorllama.native.grammar_check import check_recursion
    from actorllama.native.grammar_machine import GrammarMachine
    from actorllama.native.grammar_program import compile_rules
    from actorllama.native.grammar_text import read_grammar

    rules = read_grammar(text, source=source)
    check_recursion(rules, source=source)
    program = compile_rules(rules)
    machine = GrammarMachine(program)
    if machine.initial is machine.dead:
        raise RequestError(field=source, value=text, reason="matches no text, or is too ambiguous to begin")
    return program


def choice_to_gbnf(choices: Sequence[str]) -> str:
    """Return a grammar that matches one of these texts.

    Raises:
        RequestError: There are none, or too many, or one is no text.
    """
    if isinstance(choices, str) or not isinstance(choices, Sequence) or not choices:
        raise RequestError(field="choice", value=choices, reason="must be a sequence of texts")
    if len(choices) > _MAX_CHOICES:
        raise RequestError(field="choice", value=len(choices), reason=f"at most {_MAX_CHOICES}")
    from actorllama.native.grammar_chars import spelled_text

    return "root ::= " + " | ".join(spelled_text(_checked(text, "choice")) for text in choices)


def _checked(text: str, field: str) -> str:
    if not isinstance(text, str) or not text:
        raise RequestError(field=field, value=text, reason="must be non-empty texts")
    if len(text) > _MAX_TRIGGER_CHARS:
        raise RequestError(field=field, value=text, reason=f"at most {_MAX_TRIGGER_CHARS} characters each")
    return text
