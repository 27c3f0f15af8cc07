import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("fake_llama_server.py")


@pytest.fixture
def fake_server(tmp_path: Path) -> Path:
    """Make a program that answers as llama-server does."""
    program = tmp_path / "llama-server"
    program.write_text(f"#!{sys.executable}\n{_SOURCE.read_text()}")
    program.chmod(0o755)
    return program
