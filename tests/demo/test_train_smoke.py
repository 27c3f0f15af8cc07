"""Two steps of training: not a good model, but a file that has everything the embedded one has."""

from pathlib import Path

import pytest
from gguf import GGUFReader

from actorllama.demo import model_path

pytest.importorskip("torch", reason="needs the demo-train extra")
pytest.importorskip("tokenizers", reason="needs the demo-train extra")

from actorllama.demo.recipe import Recipe
from actorllama.demo.train import train


@pytest.mark.slow
def test_two_steps_write_a_model_and_a_card(tmp_path: Path) -> None:
    model, card = tmp_path / "model.gguf", tmp_path / "card.md"
    train(Recipe(n_steps=2, n_step_tokens=2048), model, card)
    built, embedded = GGUFReader(model), GGUFReader(model_path())
    assert sorted(built.fields) == sorted(embedded.fields)
    assert [t.name for t in built.tensors] == [t.name for t in embedded.tensors]
    assert "Held-out accuracy" in card.read_text(encoding="utf-8")
