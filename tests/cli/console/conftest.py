"""A model that goes on until it is stopped, and that remembers what was said."""

from pathlib import Path

import pytest

from actorllama.demo import model_path
from tests.cli.shell import write_endless_model


@pytest.fixture
def talkative(tmp_path: Path) -> Path:
    """Give the embedded model without the weights that end a reply, and with its own chat template."""
    path = tmp_path / "talkative.gguf"
    write_endless_model(path)
    original = model_path().read_bytes()
    begin = original.index(b"{% for message in messages %}")
    n_bytes = int.from_bytes(original[begin - 8 : begin], "little")
    with path.open("r+b") as stream:
        stream.seek(begin)
        stream.write(original[begin : begin + n_bytes])
    return path
