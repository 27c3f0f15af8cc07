"""JSON Schema: what a schema describes, in JSON, and a refusal for what cannot be held."""

import json

import pytest

from actorllama.errors import RequestError
from actorllama.native.grammar import compile_gbnf
from actorllama.native.grammar_machine import GrammarMachine
from actorllama.native.grammar_schema import schema_to_gbnf

PERSON: dict[str, object] = {
    "type": "object",
    "title": "Person",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "nick": {"type": ["string", "null"]},
    },
    "required": ["age"],
}
TREE: dict[str, object] = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "v": {"type": "number"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["v", "next"],
        }
    },
}


def matches(schema: dict[str, object], *texts: str) -> list[bool]:
    reader = GrammarMachine(compile_gbnf(schema_to_gbnf(schema), "json_schema"))
    return [reader.read(reader.initial, text.encode()).accepts for text in texts]


CASES: list[tuple[dict[str, object], list[str], list[str]]] = [
    ({}, ["1", '"a"', "[]", '{"a": [1, {"b": null}]}', "-0.5e+3", "true"], ["01", "{a:1}", "'a'", "", "nul"]),
    ({"type": "string"}, ['""', '"a\\"\\u00e9\\n é"'], ['"', '"\n"', "a", '"\\q"']),
    ({"type": "string", "minLength": 1, "maxLength": 3}, ['"a"', '"\\n\\u0041é"'], ['""', '"abcd"']),
    ({"type": "string", "pattern": '^[a-c"\\\\]{2}$'}, ['"ab"', '"\\"\\\\"'], ['"a"', '"abc"', '"a""']),
    ({"type": "string", "format": "date"}, ['"2026-12-31"'], ['"2026-13-01"', '"2026-1-1"']),
    ({"format": "date-time"}, ['"2026-12-31T23:59:59.123+01:00"'], ['"2026-12-31"']),
    ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
    ({"type": "integer"}, ["0", "-12", "7 "], ["1.0", "007", "-"]),
    ({"type": "integer", "minimum": -12, "maximum": 305}, ["-12", "0", "9", "299", "305"], ["-13", "306"]),
    ({"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 11}, ["10"], ["9", "11", "1"]),
    ({"type": "integer", "minimum": 95}, ["95", "99", "100", "1234567"], ["94", "9", "-95"]),
    ({"type": "integer", "maximum": -5}, ["-5", "-123"], ["-4", "5", "0"]),
    ({"enum": ["a", 1, None, {"x": [True]}]}, ['"a"', "1", "null", '{"x": [true]}'], ["a", "2", "true"]),
    ({"const": 'q"'}, ['"q\\""'], ['"q"']),
    ({"anyOf": [{"type": "null"}, {"const": 3}]}, ["null", "3"], ["4"]),
    ({"allOf": [{"type": "null"}]}, ["null"], ["4"]),
    (
        PERSON,
        ['{"age":1}', '{ "age": 1, "name": "x" , "nick": null}', '{"age":1,"nick":"n"}'],
        ['{"name":"x"}', '{"age":1,"x":1}', '{"age":1,}', "{}", '{"nick":null,"age":1}'],
    ),
    (
        {"properties": {"a": {"const": 1}, "b": {"const": 2}}},
        ["{}", '{"a":1}', '{"b":2}', '{"a":1,"b":2}'],
        ['{"b":2,"a":1}', '{,"a":1}'],
    ),
    (
        {"properties": {"ab": {"const": 1}}, "additionalProperties": {"type": "null"}},
        ["{}", '{"ab":1}', '{"a":null}', '{"abc":null,"":null}', '{"ab":1,"b":null}'],
        ['{"ab":null}', '{"a":1}', '{"a":null,"ab":null}', '{"\\u0061b":null}'],
    ),
    ({"additionalProperties": {"type": "boolean"}}, ["{}", '{"x":true,"y":false}'], ['{"x":1}']),
    ({"type": "object", "properties": {}, "additionalProperties": False}, ["{}"], ['{"a":1}']),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        ["[1,2]", "[1, 2,3]"],
        ["[1]", "[1,2,3,4]", "[]"],
    ),
    ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
    ({"items": {"const": 1}}, ["[]", "[1,1,1]"], ["[1,2]", "[1,]"]),
    ({"prefixItems": [{"const": 1}, {"const": 2}]}, ["[1,2]"], ["[1]", "[1,2,3]", "[]"]),
    (TREE, ['{"v":1,"next":{"v":2.5,"next":null}}'], ['{"v":1}', '{"v":1,"next":{}}']),
    (
        {"type": "array", "items": {"$ref": "#"}},
        ["[]", "[[],[[]]]"],
        ["[1]"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "yes", "no"), CASES, ids=[json.dumps(schema)[:40] for schema, _, _ in CASES]
)
def test_a_schema_matches_the_json_that_it_describes(
    schema: dict[str, object], yes: list[str], no: list[str]
) -> None:
    for text in yes:
        json.loads(text)
    assert matches(schema, *yes, *no) == [True] * len(yes) + [False] * len(no)


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"type": "array", "uniqueItems": True}, "$.uniqueItems"),
    ({"not": {"type": "null"}}, "$.not"),
    ({"type": "object", "properties": {"a": {"type": "number", "minimum": 3}}}, "$.properties.a.minimum"),
    ({"type": "object", "patternProperties": {}}, "$.patternProperties"),
    ({"type": "strin"}, "$.type"),
    ({"type": []}, "$.type"),
    ({"type": "string", "pattern": "abc"}, "$.pattern"),
    ({"type": "string", "pattern": "^a$", "maxLength": 3}, "$"),
    ({"type": "string", "format": "email"}, "$.format"),
    ({"type": "string", "maxLength": 3000}, "$.maxLength"),
    ({"type": "string", "minLength": 3, "maxLength": 2}, "$.maxLength"),
    ({"type": "integer", "minimum": 1.5}, "$.minimum"),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "$"),
    ({"$ref": "https://example.com/x"}, "$.$ref"),
    ({"$ref": "#/$defs/none"}, "$.$ref"),
    ({"allOf": [{"type": "null"}, {"type": "string"}]}, "$.allOf"),
    ({"anyOf": []}, "$.anyOf"),
    ({"anyOf": [{"type": "null"}], "type": "object"}, "$.type"),
    ({"enum": []}, "$.enum"),
    ({"properties": {"a": {}}, "required": ["b"]}, "$.required"),
    ({"properties": 3}, "$.properties"),
    ({"items": 3}, "$.items"),
    ({"prefixItems": [{}], "minItems": 1}, "$"),
]


@pytest.mark.parametrize(("schema", "place"), REFUSED, ids=[json.dumps(schema)[:40] for schema, _ in REFUSED])
def test_what_cannot_be_held_is_refused_with_its_place(schema: dict[str, object], place: str) -> None:
    with pytest.raises(RequestError) as caught:
        schema_to_gbnf(schema)
    assert (caught.value.field, caught.value.value) == ("json_schema", place)


def test_a_schema_that_goes_in_circles_without_end_is_refused() -> None:
    with pytest.raises(RequestError, match="matches no text"):
        matches({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})


def test_a_schema_that_nests_without_end_is_refused() -> None:
    schema: dict[str, object] = {}
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    with pytest.raises(RequestError, match="nests deeper"):
        schema_to_gbnf(schema)


def test_many_references_are_followed_without_python_s_stack() -> None:
    n = 600
    defs = {f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(n)}
    schema: dict[str, object] = {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{n}": {"type": "null"}}}
    assert matches(schema, "[[]]") == [True]
