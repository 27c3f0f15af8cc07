"""Programs in docstrings, which the reference shows, run, with the names that their readers have made."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Awaitable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import cast

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import actorllama
from actorllama import actors, aio, options, telemetry
from actorllama.demo import model_path
from actorllama.errors import ModelUnavailable
from actorllama.telemetry import Bus, declare_span
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.inline_host import InlineHost, run_inline
from tests.docs.blocks import ROOT

PACKAGE = ROOT / "actorllama"
_LITERAL = re.compile(r"^.*::\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)
TURN = declare_span(
    ("engine", "turn"),
    doc="a turn",
    measurements=("n_tokens",),
    metadata=("model",),
    result=("finish_reason",),
)
FAILS_ON_PURPOSE = {"actorllama/testing/fake_backend.py": ModelUnavailable}  # a step fails, as planned
N_PROGRAMS_MIN = 11


def programs() -> Iterator[tuple[str, ast.Module]]:
    """Give every literal block of a docstring that is a program, and where it stands; drawings are none."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for block in _LITERAL.findall(f"{ast.get_docstring(node) or ''}\n"):
                try:
                    yield path.relative_to(ROOT).as_posix(), ast.parse(dedent(block))
                except SyntaxError:
                    continue


PROGRAMS = list(programs())
FOR_OTHERS = "actorllama/aio/"  # programs for asyncio and for no loop at all


class Elsewhere(ast.NodeTransformer):
    """Does something where a docstring leaves something out."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        is_dots = isinstance(node.value, ast.Constant) and node.value.value is Ellipsis
        return ast.parse("tell_a_turn()").body[0] if is_dots else node


def surroundings(bus: Bus, model: object) -> dict[str, object]:
    """Give the names that a reader of these docstrings has imported or made."""

    def tell_a_turn() -> None:
        with bus.span(TURN, {"model": "chat"}):
            pass

    def serve_nobody(port: int, registry: object) -> None:
        assert port
        assert registry

    return {
        **{name: getattr(actors, name) for name in actors.__all__},
        **{name: getattr(telemetry, name) for name in telemetry.__all__},
        "actorllama": actorllama,
        "open_runtime": actorllama.open_runtime,
        "bus": bus,
        "model": model,
        "BatchSpanProcessor": SimpleSpanProcessor,  # the other one leaves a thread behind
        "FakeBackend": FakeBackend,
        "InlineHost": InlineHost,
        "OTLPSpanExporter": InMemorySpanExporter,
        "TURN": TURN,
        "TracerProvider": TracerProvider,
        "frozen": attrs.frozen,
        "option": options.option,
        "partial": partial,
        "prometheus_client": SimpleNamespace(start_http_server=serve_nobody),
        "run_inline": run_inline,
        "tell_a_turn": tell_a_turn,
        "trio": trio,
    }


def test_the_programs_are_found() -> None:
    assert len(PROGRAMS) >= N_PROGRAMS_MIN


@pytest.mark.slow
@pytest.mark.model
async def test_every_program_in_a_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed: list[str] = []
    async with actorllama.open_runtime() as rt:
        model = await rt.load("demo", n_seq=2, n_threads=1)
        for place, program in PROGRAMS:
            if place.startswith(FOR_OTHERS):
                continue
            tree = ast.fix_missing_locations(Elsewhere().visit(program))
            code = compile(tree, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            names = surroundings(Bus(), model)
            try:
                done: object = eval(code, names)
                if inspect.isawaitable(done):
                    await cast("Awaitable[object]", done)
            except* FAILS_ON_PURPOSE.get(place, ()):
                failed.append(place)
    assert failed == list(FAILS_ON_PURPOSE)


@pytest.mark.slow
@pytest.mark.model
def test_every_program_for_asyncio_and_for_scripts_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement after the other, each where it belongs: in a loop of asyncio, or in none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").symlink_to(model_path())
    for place, program in PROGRAMS:
        if not place.startswith(FOR_OTHERS):
            continue
        names: dict[str, object] = {"aio": aio}
        for statement in program.body:
            module = ast.Module(body=[statement], type_ignores=[])
            code = compile(module, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            done: object = eval(code, names)
            if inspect.isawaitable(done):
                asyncio.run(cast("Coroutine[object, object, object]", done))
