"""Rules for JSON: values, strings, numbers within bounds, keys that are not these."""

from __future__ import annotations

from collections.abc import Iterable

from actorllama.native.grammar_chars import Ranges, complement, normalised, spelled_set, spelled_text

__all__ = ["BUILTINS", "PLAIN", "integer_body", "other_key_rules", "spelled_in_string"]

BUILTINS: dict[str, tuple[str, tuple[str, ...]]] = {
    "space": (r'| " " | "\n"{1,2} [ \t]{0,20}', ()),
    "boolean": ('("true" | "false") space', ("space",)),
    "null": ('"null" space', ("space",)),
    "integral-part": ("[0] | [1-9] [0-9]{0,15}", ()),
    "number": (
        '"-"? integral-part ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})? space',
        ("integral-part", "space"),
    ),
    "integer": ('"-"? integral-part space', ("integral-part", "space")),
    "char": (r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})', ()),
    "string": (r'"\"" char* "\"" space', ("char", "space")),
    "value": ("object | array | string | number | boolean | null", ()),
    "object": (
        '"{" space (string ":" space value ("," space string ":" space value)*)? "}" space',
        ("space", "string", "value"),
    ),
    "array": ('"[" space (value ("," space value)*)? "]" space', ("space", "value")),
    "uuid": (r'"\"" [0-9a-fA-F]{8} ("-" [0-9a-fA-F]{4}){3} "-" [0-9a-fA-F]{12} "\"" space', ("space",)),
    "date-text": ('[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1])', ()),
    "time-text": (
        '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})?'
        ' ("Z" | ("+" | "-") ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])',
        (),
    ),
    "date": (r'"\"" date-text "\"" space', ("date-text", "space")),
    "time": (r'"\"" time-text "\"" space', ("time-text", "space")),
    "date-time": (r'"\"" date-text "T" time-text "\"" space', ("date-text", "time-text", "space")),
}
"""Bodies of the rules that schemas share, with the rules that they use. After llama.cpp's
``common/json-schema-to-grammar.cpp``; white space is its too: short, so that no model idles in it."""

_CONTROLS: Ranges = ((1, 0x1F), (0x7F, 0x7F))
_QUOTED: Ranges = ((0x22, 0x22), (0x5C, 0x5C))
PLAIN = complement(normalised((*_CONTROLS, *_QUOTED)))
"""Characters that stand for themselves in a JSON string."""

_SHORT = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}


def spelled_in_string(ranges: Ranges) -> str:
    """Spell one character out of a set as it stands inside a JSON string."""
    plain = _intersection(ranges, PLAIN)
    parts = [spelled_set(plain)] if plain else []
    for low, high in _intersection(ranges, normalised((*_CONTROLS, *_QUOTED))):
        for code in range(low, high + 1):
            escape = chr(code) if code in {0x22, 0x5C} else _SHORT.get(code, f"u{code:04X}")
            parts.append(spelled_text("\\" + escape))
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def _intersection(one: Ranges, other: Ranges) -> Ranges:
    return normalised(
        (max(low, first), min(high, last))
        for low, high in one
        for first, last in other
        if max(low, first) <= min(high, last)
    )


def integer_body(low: int | None, high: int | None) -> str:
    """Spell the integers from ``low`` to ``high``; open ends reach to 16 digits."""
    limit = 10**16 - 1
    low, high = -limit if low is None else low, limit if high is None else high
    parts: list[str] = []
    if low < 0:
        parts.append(f'"-" ({_natural(max(-high, 1), -low)})')
    if high >= 0:
        parts.append(_natural(max(low, 0), high))
    return f"({' | '.join(parts)}) space"


def _natural(low: int, high: int) -> str:
    """Spell the natural numbers of a range: one alternative per common length and leading digits."""
    parts: list[str] = []
    for n_digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (n_digits - 1) if n_digits > 1 else 0)
        last = min(high, 10**n_digits - 1)
        if first <= last:
            parts.append(_same_length(str(first), str(last)))
    return " | ".join(parts)


def _same_length(low: str, high: str) -> str:
    if not low:
        return '""'
    if low == "0" * len(low) and high == "9" * len(high):
        return f"[0-9]{{{len(low)}}}"
    if low[0] == high[0]:
        rest = _same_length(low[1:], high[1:])
        return f'"{low[0]}"' if rest == '""' else f'"{low[0]}" ({rest})'
    n = len(low) - 1
    first, last, parts = int(low[0]), int(high[0]), list[str]()
    if low[1:] != "0" * n:
        parts.append(f'"{first}" ({_same_length(low[1:], "9" * n)})')
        first += 1
    tail = ""
    if high[1:] != "9" * n:
        tail = f'"{last}" ({_same_length("0" * n, high[1:])})'
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}]" + (f" [0-9]{{{n}}}" if n else ""))
    return " | ".join([*parts, tail] if tail else parts)


def other_key_rules(name: str, keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return rules, the first called ``name``, for a quoted key that is none of these.

    Such a key has plain characters only: an escape could spell one of the others.
    """
    rules: list[tuple[str, str]] = []
    todo = [(name, "", sorted(set(keys)))]
    while todo:
        rule, begun, left = todo.pop()
        parts = [] if begun in left else ['"\\""']
        nexts = sorted({key[len(begun)] for key in left if len(key) > len(begun)})
        for number, character in enumerate(nexts):
            deeper = f"{rule}-{number}"
            parts.append(f"{spelled_text(character)} {deeper}")
            todo.append(
                (deeper, begun + character, [key for key in left if key.startswith(begun + character)])
            )
        others = _intersection(PLAIN, complement(normalised((ord(c), ord(c)) for c in nexts)))
        parts.append(f'{spelled_set(others)} {spelled_set(PLAIN)}* "\\""')
        rules.append((rule, " | ".join(parts)))
    first, body = rules[0]
    rules[0] = (first, f'"\\"" ({body})')
    return rules
