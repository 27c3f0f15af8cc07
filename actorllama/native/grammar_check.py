"""Refuse a grammar whose rules would go round without reading anything."""

from __future__ import annotations

from collections.abc import Iterator

from actorllama.errors import RequestError
from actorllama.native.grammar_text import GrammarRules, Symbol

__all__ = ["check_recursion"]

_Edges = list[dict[int, bool]]


def check_recursion(rules: GrammarRules, *, source: str) -> None:
    """Refuse left recursion: a rule that can begin with itself and then has more to read.

    llama.cpp's own check takes a rule for empty only if it has an empty alternative itself, not if
    all of its parts may be empty; a grammar that slips through makes it allocate until the process
    dies. Rules that merely stand for each other in a circle are harmless here: they add nothing.

    Raises:
        RequestError: With the names of the rules in the circle.
    """
    edges = _left_edges(rules, _nullable(rules))
    for group in _circles(edges):
        if any(grows for rule in group for target, grows in edges[rule].items() if target in group):
            names = sorted({rules.names[rule] for rule in group})
            raise RequestError(
                field=source,
                value=names[0],
                reason=f"left recursion: {', '.join(names[:5])} can begin with itself; put a symbol first",
            )


def _nullable(rules: GrammarRules) -> list[bool]:
    """Return which rules can be empty: the smallest solution, by passing news on to who waits for it."""
    alternatives = rules.alternatives
    is_nullable = [False] * len(alternatives)
    waiting: dict[int, list[tuple[int, list[Symbol]]]] = {}
    todo = [(rule, row) for rule, rows in enumerate(alternatives) for row in rows]
    while todo:
        rule, row = todo.pop()
        if is_nullable[rule]:
            continue
        blocker = next((s for s in row if not isinstance(s, int) or not is_nullable[s]), None)
        if blocker is None:
            is_nullable[rule] = True
            todo += waiting.pop(rule, [])
        elif isinstance(blocker, int):
            waiting.setdefault(blocker, []).append((rule, row))
    return is_nullable


def _left_edges(rules: GrammarRules, is_nullable: list[bool]) -> _Edges:
    """Return what each rule can begin with, and whether something then still follows."""
    edges: _Edges = [{} for _ in rules.alternatives]
    for rule, rows in enumerate(rules.alternatives):
        for row in rows:
            for at, symbol in enumerate(row):
                if not isinstance(symbol, int):
                    break
                edges[rule][symbol] = edges[rule].get(symbol, False) or at + 1 < len(row)
                if not is_nullable[symbol]:
                    break
    return edges


def _circles(edges: _Edges) -> Iterator[set[int]]:
    """Give the strongly connected components (Tarjan 1972, without recursion)."""
    order: dict[int, int] = {}
    lowest: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for start in range(len(edges)):
        work = [] if start in order else [(start, iter(edges[start]))]
        while work:
            rule, targets = work[-1]
            if rule not in order:
                order[rule] = lowest[rule] = len(order)
                path.append(rule)
                on_path.add(rule)
            deeper = _next_target(rule, targets, order, lowest, on_path)
            if deeper is not None:
                work.append((deeper, iter(edges[deeper])))
                continue
            work.pop()
            if work:
                parent = work[-1][0]
                lowest[parent] = min(lowest[parent], lowest[rule])
            if lowest[rule] == order[rule]:
                at = path.index(rule)
                yield set(path[at:])
                on_path.difference_update(path[at:])
                del path[at:]


def _next_target(
    rule: int, targets: Iterator[int], order: dict[int, int], lowest: dict[int, int], on_path: set[int]
) -> int | None:
    for target in targets:
        if target not in order:
            return target
        if target in on_path:
            lowest[rule] = min(lowest[rule], order[target])
    return None
