"""What the site writes from the code is all that the code has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import cast

import click
import pytest

from actorllama.cli.root import root
from actorllama.config import render_default_toml
from tests.docs.blocks import DOCS


def load_fill() -> Callable[[str], str]:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "site" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Callable[[str], str]", module.fill)


FILL = load_fill()


def page(name: str) -> str:
    return FILL((DOCS / "reference" / name).read_text(encoding="utf-8"))


def paths_of(group: click.Group, path: str = "actorllama") -> list[str]:
    context = click.Context(group)
    found = [path]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        below = (
            paths_of(command, f"{path} {name}") if isinstance(command, click.Group) else [f"{path} {name}"]
        )
        found.extend(below)
    return found


def test_every_command_has_a_section() -> None:
    headings = [
        line.lstrip("#").strip() for line in page("commands.md").splitlines() if line.startswith("##")
    ]
    assert sorted(headings) == sorted(paths_of(root))


def test_a_section_has_the_options_and_the_examples_of_its_command() -> None:
    section = page("commands.md").partition("### actorllama verify")[2].partition("### ")[0]
    assert "| `--flash-attention` | Try with fused attention" in section
    assert "```bash\nactorllama verify\n" in section


def test_the_options_are_those_of_the_defaults_file() -> None:
    assert f"```toml\n{render_default_toml().strip()}\n```" in page("options.md")


def test_what_nobody_generates_is_an_error() -> None:
    with pytest.raises(KeyError):
        FILL("<!-- generated: nothing -->")
