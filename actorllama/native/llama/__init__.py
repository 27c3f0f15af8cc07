"""The only package that imports llama_cpp: everything that touches ctypes lives here.

Import it late (``from actorllama.native.llama import LlamaBackend`` inside a function): loading
llama.cpp's shared libraries takes time and memory that ``import actorllama`` must not cost.
"""

from __future__ import annotations

from actorllama.native.llama.backend import LlamaBackend

__all__ = ["LlamaBackend"]
