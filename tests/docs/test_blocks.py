"""Every block of every document is run, or read, or has a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from actorllama.config import load_config
from tests.docs.blocks import DOCS, LANGUAGES, PAGES, ROOT, Block, blocks_of

N_NOT_RUN_MAX = 14
BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def in_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language and block.why_not is None]


def test_every_fence_belongs_to_a_block() -> None:
    """None is indented, left open, or drawn with other signs: it would not be found, and not be run."""
    fences = {
        page: len(re.findall(r"^[ >*-]*(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE))
        for page in PAGES
    }
    assert fences == {page: 2 * len(blocks_of(page)) for page in PAGES}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: {LANGUAGES}"
    assert block.text.strip()


def test_few_blocks_are_not_run_and_each_has_a_reason() -> None:
    left = [block for block in BLOCKS if block.why_not is not None]
    assert all(len(str(block.why_not).split()) >= 2 for block in left), "a reason, please"
    assert len(left) <= N_NOT_RUN_MAX, [f"{block}: {block.why_not}" for block in left]


@pytest.mark.parametrize("block", in_language("toml"), ids=str)
def test_a_configuration_in_a_page_is_one(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "actorllama.toml"
    path.write_text(block.text)
    load_config(toml_path=path, env={})


@pytest.mark.parametrize("block", in_language("json"), ids=str)
def test_json_in_a_page_is_json(block: Block) -> None:
    assert [json.loads(line) for line in block.text.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_link_of_a_page_leads_somewhere(page: Path) -> None:
    """To a file of the repository; mkdocs looks at those between pages, and at their headings."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    files = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [file for file in files if file and not (page.parent / file).exists()] == []


def test_every_page_is_in_the_navigation_and_nothing_else_is() -> None:
    navigation = (DOCS / "site" / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(named) == sorted(
        page.relative_to(DOCS).as_posix() for page in PAGES if DOCS in page.parents
    )
