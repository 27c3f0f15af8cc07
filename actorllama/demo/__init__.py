"""The embedded demo model: a tiny chat model that ships inside the package.

What lives here:
    ``model.gguf``, the templates that its training text is made of, the exam it must pass, and the script
    that rebuilds it (``python -m actorllama.demo.train``, with the ``demo-train`` extra).

Who owns it and what always holds:
    Everything here is a value or a file that is only read. No exam prompt ever occurs in the training
    text: one pure rule, `actorllama.demo.exchange.is_heldout`, splits them.

What it may import:
    attrs and the standard library. Only the training modules import numpy, torch, tokenizers and gguf,
    and nothing imports those modules but the script itself.

Why this way, and what we refused:
    The first example must run without a download, so the model is part of the wheel and small. Trained
    here, from text that we generate, so that its licence and its data raise no question. Refused: a
    random-weight model (answers cannot be right or wrong) and a third-party one (size, licence).

Read next:
    ``MODEL_CARD.md``, then ``templates.py``.
"""

from importlib.resources import files as _files
from pathlib import Path as _Path

from actorllama.demo.heldout import HeldOut, heldout_prompts

__all__ = ["HeldOut", "heldout_prompts", "model_path"]


def model_path() -> _Path:
    """Locate the embedded model.

    llama.cpp opens files by name, hence the package must lie on a real file system (a wheel install does).

    Raises:
        TypeError: The package was imported from an archive and the file has no path.
    """
    path = _files("actorllama.demo") / "model.gguf"
    if not isinstance(path, _Path):
        msg = f"the demo model has no path of its own: {path!r}. Install actorllama unpacked."
        raise TypeError(msg)
    return path
