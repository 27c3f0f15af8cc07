"""JSON Schema as a grammar: the part that a context-free grammar can hold, and no silent rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, cast

from actorllama.errors import RequestError
from actorllama.native.grammar_chars import spelled_text
from actorllama.native.grammar_json import BUILTINS, integer_body, other_key_rules, spelled_in_string
from actorllama.native.grammar_regex import regex_body

__all__ = ["schema_to_gbnf"]

_MAX_NESTING = 40
_MAX_RULES = 4000
_MAX_COUNT = 2000  # of characters and items; a grammar cannot count further
_SILENT = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"),
    *("$schema", "$id", "$defs", "definitions", "discriminator"),
}
_KNOWN: dict[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": set(),
    "boolean": set(),
    "null": set(),
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
}
_COMMA = ' "," space '
_FORMATS = {"date", "time", "date-time", "uuid"}

_Schema = Mapping[str, object]


def schema_to_gbnf(schema: Mapping[str, object]) -> str:
    """Return a grammar for the JSON texts that a schema describes.

    There are: ``type`` (one or several), ``enum``, ``const``, ``anyOf``, ``oneOf`` (as ``anyOf``),
    ``allOf`` of one, ``$ref`` within the document; of strings ``minLength``, ``maxLength``,
    ``pattern`` (with ``^`` and ``$``) and the formats date, time, date-time and uuid; of integers the
    four bounds; of objects ``properties``, ``required``, ``additionalProperties``; of arrays
    ``items``, ``prefixItems``, ``minItems``, ``maxItems``. Annotations are passed over. Any other
    keyword is refused, never ignored.

    As in llama.cpp, required properties come first, each group in the order of ``properties``, and an
    object with ``properties`` has no others unless ``additionalProperties`` says so.

    Raises:
        RequestError: The schema is wrong or asks for more; with the place in it.
    """
    if not isinstance(schema, Mapping):
        raise RequestError(
            field="json_schema", value=schema, reason="must be a mapping, as json.loads gives it"
        )
    try:
        json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as exc:
        raise RequestError(field="json_schema", value=schema, reason=f"is no JSON ({exc})") from exc
    return _Converter(schema).convert()


class _Converter:
    """Visit the schema; ``_rules`` grows by one rule for whatever deserves a name."""

    def __init__(self, schema: _Schema) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        self._refs: dict[str, str] = {}
        self._pending: list[tuple[str, object]] = []
        self._nesting = 0

    def convert(self) -> str:
        body = self._visit(self._schema, "$")
        while self._pending:
            ref, target = self._pending.pop()
            self._rules[self._refs[ref]] = self._visit(target, ref)
        lines = [f"root ::= {body}", *(f"{name} ::= {rule}" for name, rule in self._rules.items())]
        return "\n".join(lines)

    def _fail(self, at: str, reason: str) -> NoReturn:
        raise RequestError(field="json_schema", value=at, reason=reason)

    def _use(self, name: str) -> str:
        """Return the name of a shared rule, after making it and what it uses."""
        if name not in self._rules:
            body, uses = BUILTINS[name]
            self._rules[name] = body
            for used in uses:
                self._use(used)
            if name == "value":
                for used in ("object", "array", "string", "number", "boolean", "null"):
                    self._use(used)
        return name

    def _add(self, body: str) -> str:
        if len(self._rules) >= _MAX_RULES:
            self._fail("$", f"it needs more than {_MAX_RULES} rules")
        name = f"r{len(self._rules)}"
        self._rules[name] = body
        return name

    def _visit(self, schema: object, at: str) -> str:
        """Return what matches this schema, as the right side of a rule."""
        if schema is True:
            return self._use("value")
        if not isinstance(schema, Mapping):
            self._fail(at, "must be an object, or true")
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            self._fail(at, f"nests deeper than {_MAX_NESTING}")
        body = self._visit_object(cast("_Schema", schema), at)
        self._nesting -= 1
        return body

    def _visit_object(self, schema: _Schema, at: str) -> str:
        whole: dict[str, Callable[[_Schema, str], str]] = {
            "$ref": self._visit_ref,
            "const": lambda schema, at: self._constant(schema["const"], at),
            "enum": self._visit_enum,
            "anyOf": lambda schema, at: self._visit_any(schema["anyOf"], f"{at}.anyOf"),
            "oneOf": lambda schema, at: self._visit_any(schema["oneOf"], f"{at}.oneOf"),
            "allOf": self._visit_all,
        }
        for keyword, visit in whole.items():
            if keyword in schema:
                # The type beside an enum or a constant says nothing that they do not say.
                self._check_keywords(
                    schema, at, {keyword, "type"} if keyword in {"enum", "const"} else {keyword}
                )
                return visit(schema, at)
        kind = schema.get("type", self._implied_type(schema))
        if not isinstance(kind, str | None):
            kinds = [str(one) for one in self._listed(kind, f"{at}.type")]
            self._check_keywords(schema, at, {"type"}.union(*(_KNOWN.get(one, set()) for one in kinds)))
            return self._union([self._visit_type(one, schema, at) for one in kinds])
        if kind is None:
            self._check_keywords(schema, at, set())
            return self._use("value")
        self._check_keywords(schema, at, {"type"} | _KNOWN.get(str(kind), set()))
        return self._visit_type(str(kind), schema, at)

    def _check_keywords(self, schema: _Schema, at: str, known: set[str]) -> None:
        for keyword in schema:
            if keyword not in known and keyword not in _SILENT:
                self._fail(f"{at}.{keyword}", "this keyword cannot be held here; leave it out")

    def _implied_type(self, schema: _Schema) -> str | None:
        return next((kind for kind, keywords in _KNOWN.items() if keywords & set(schema)), None)

    def _listed(self, value: object, at: str, *, may_be_empty: bool = False) -> Sequence[object]:
        if not isinstance(value, list | tuple) or not (value or may_be_empty):
            self._fail(at, "must be a list with something in it")
        return cast("Sequence[object]", value)

    def _union(self, bodies: list[str]) -> str:
        return bodies[0] if len(bodies) == 1 else f"({' | '.join(bodies)})"

    # -- whole schemas -----------------------------------------------------------------------------

    def _visit_ref(self, schema: _Schema, at: str) -> str:
        ref = schema["$ref"]
        if not isinstance(ref, str) or not (ref == "#" or ref.startswith("#/")):
            self._fail(f"{at}.$ref", "only references within the document (#/...) are followed")
        if ref not in self._refs:
            target: object = self._schema
            for part in ref.split("/")[1:]:
                key = part.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, Mapping) or key not in target:
                    self._fail(f"{at}.$ref", f"there is no {ref}")
                target = cast("dict[str, object]", target)[key]
            # Visited later, from the top: references may go round, or deeper than Python's own stack.
            self._refs[ref] = self._add("")
            self._pending.append((ref, target))
        return self._refs[ref]

    def _visit_enum(self, schema: _Schema, at: str) -> str:
        at = f"{at}.enum"
        return self._union([self._constant(value, at) for value in self._listed(schema["enum"], at)])

    def _constant(self, value: object, at: str) -> str:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as exc:
            raise RequestError(field="json_schema", value=at, reason=f"is no JSON value ({exc})") from exc
        return f"{spelled_text(text)} {self._use('space')}"

    def _visit_any(self, schemas: object, at: str) -> str:
        listed = self._listed(schemas, at)
        return self._union([self._visit(one, f"{at}[{i}]") for i, one in enumerate(listed)])

    def _visit_all(self, schema: _Schema, at: str) -> str:
        schemas = self._listed(schema["allOf"], f"{at}.allOf")
        if len(schemas) != 1:
            self._fail(f"{at}.allOf", "several schemas at once cannot be held; merge them into one")
        return self._visit(schemas[0], f"{at}.allOf[0]")

    # -- types -------------------------------------------------------------------------------------

    def _visit_type(self, kind: str, schema: _Schema, at: str) -> str:
        if kind == "object":
            return self._visit_properties(schema, at)
        if kind == "array":
            return self._visit_array(schema, at)
        if kind == "string":
            return self._visit_string(schema, at)
        if kind == "integer" and _KNOWN["integer"] & set(schema):
            return self._visit_integer(schema, at)
        if kind not in _KNOWN:
            self._fail(f"{at}.type", f"the types are {', '.join(_KNOWN)}")
        return self._use(kind)

    def _visit_string(self, schema: _Schema, at: str) -> str:
        given = _KNOWN["string"] & set(schema)
        if "pattern" in given and given == {"pattern"}:
            pattern = schema["pattern"]
            if not isinstance(pattern, str) or not (pattern.startswith("^") and pattern.endswith("$")):
                self._fail(f"{at}.pattern", "must begin with ^ and end with $")
            body = regex_body(pattern, source="json_schema", spell=spelled_in_string)
            return rf'"\"" ({body}) "\"" {self._use("space")}'
        if "format" in given and given == {"format"}:
            if schema["format"] not in _FORMATS:
                self._fail(f"{at}.format", f"the formats are {', '.join(sorted(_FORMATS))}")
            return self._use(str(schema["format"]))
        if given & {"pattern", "format"}:
            self._fail(at, "pattern, format and lengths cannot be combined")
        if not given:
            return self._use("string")
        low, high = self._counts(schema, at, "minLength", "maxLength")
        return rf'"\"" {self._use("char")}{_braces(low, high)} "\"" {self._use("space")}'

    def _visit_integer(self, schema: _Schema, at: str) -> str:
        low = self._bound(schema, at, "minimum", 0)
        above = self._bound(schema, at, "exclusiveMinimum", 1)
        high = self._bound(schema, at, "maximum", 0)
        below = self._bound(schema, at, "exclusiveMaximum", -1)
        low = max((one for one in (low, above) if one is not None), default=None)
        high = min((one for one in (high, below) if one is not None), default=None)
        if low is not None and high is not None and low > high:
            self._fail(at, "no integer lies between its bounds")
        self._use("space")
        return integer_body(low, high)

    def _bound(self, schema: _Schema, at: str, keyword: str, shift: int) -> int | None:
        value = schema.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**15:
            self._fail(f"{at}.{keyword}", "must be an integer of at most 15 digits")
        return value + shift

    def _counts(self, schema: _Schema, at: str, least: str, most: str) -> tuple[int, int | None]:
        for keyword in (least, most):
            value = schema.get(keyword, 0)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
                self._fail(f"{at}.{keyword}", f"must be an integer from 0 to {_MAX_COUNT}")
        low, high = cast("int", schema.get(least, 0)), cast("int | None", schema.get(most))
        if high is not None and high < low:
            self._fail(f"{at}.{most}", f"is below {least}")
        return low, high

    def _visit_array(self, schema: _Schema, at: str) -> str:
        self._use("space")
        if "prefixItems" in schema:
            first = self._listed(schema["prefixItems"], f"{at}.prefixItems")
            head = [self._visit(one, f"{at}.prefixItems[{i}]") for i, one in enumerate(first)]
            if {"minItems", "maxItems"} & set(schema) or schema.get("items", False) is not False:
                self._fail(at, "beside prefixItems there can only be items: false")
            return f'"[" space {_COMMA.join(head)} "]" space'
        item = self._add(self._visit(schema.get("items", True), f"{at}.items"))
        low, high = self._counts(schema, at, "minItems", "maxItems")
        if high == 0:
            return '"[" space "]" space'
        more = _braces(max(low - 1, 0), None if high is None else high - 1)
        items = f'{item} ("," space {item}){more}'
        return f'"[" space {items if low else f"({items})?"} "]" space'

    def _visit_properties(self, schema: _Schema, at: str) -> str:
        properties = schema.get("properties", {})
        required = self._listed(schema.get("required", []), f"{at}.required", may_be_empty=True)
        more = schema.get("additionalProperties", "properties" not in schema)
        if not isinstance(properties, Mapping):
            self._fail(f"{at}.properties", "must be an object of schemas")
        properties = cast("_Schema", properties)
        unknown = [name for name in required if name not in properties]
        if unknown:
            self._fail(f"{at}.required", f"{unknown[0]!r} is not among the properties")
        if not properties and more is True:
            return self._use("object")
        self._use("space")
        pairs = {name: self._pair(name, one, at) for name, one in properties.items()}
        must = [pair for name, pair in pairs.items() if name in required]
        may = [pair for name, pair in pairs.items() if name not in required]
        others = None if more is False else self._other_pair(more, pairs, at)
        return f'"{{" space {self._members(must, may, others)} "}}" space'

    def _pair(self, name: str, schema: object, at: str) -> str:
        key = spelled_text(json.dumps(name, ensure_ascii=False))
        return self._add(f'{key} space ":" space {self._visit(schema, f"{at}.properties.{name}")}')

    def _other_pair(self, schema: object, keys: Mapping[str, str], at: str) -> str:
        value = self._add(self._visit(schema, f"{at}.additionalProperties"))
        if not keys:
            return self._add(f'{self._use("string")} ":" space {value}')
        name = self._add("")
        self._rules.update(other_key_rules(name, keys))
        return self._add(f'{name} space ":" space {value}')

    def _members(self, must: list[str], may: list[str], others: str | None) -> str:
        """Spell members with commas between them: all of ``must``, any of ``may`` in order, then others."""
        rest = self._add(f'("," space {others})*') if others else '""'
        begins = [f"{others} {rest}"] if others else []
        for pair in reversed(may):
            begins.append(f"{pair} {rest}")
            rest = self._add(f'("," space {pair})? {rest}')
        if must:
            return f"{_COMMA.join(must)} {rest}"
        return f"({' | '.join(begins)})?" if begins else '""'


def _braces(low: int, high: int | None) -> str:
    return f"{{{low},{'' if high is None else high}}}"
