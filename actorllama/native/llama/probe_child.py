"""Try model files in a process that may die of it. Run by path, by :mod:`actorllama.native.probe`.

Reads one JSON request for each line of stdin and answers each with one JSON line. It imports nothing of
actorllama, so that it starts as fast as llama_cpp does, and so that a crash speaks of the file alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys

import llama_cpp

__all__ = ["main"]

# Enough text to need bytes, merges, special tokens and several scripts.
TEXT = "héllo wörld, the quick\n\x00 brown fox 😀 <|im_start|> 12345 漢字 жщ éλ".encode() + bytes(
    range(1, 128)
)
N_TOKENS = 1024
N_DECODED = 64
ERROR_LEVEL = 4
NO, YES = False, True  # for C, which knows no keywords


def attempt(request: dict[str, object]) -> dict[str, object]:
    """Load one file and use it as far as the request says."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.no_alloc = not request["with_weights"]
    if parameters.no_alloc:
        parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
    model = llama_cpp.llama_model_load_from_file(os.fsencode(str(request["path"])), parameters)
    if model is None:
        return {"outcome": "not_loaded"}
    context = None
    try:
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_seq_max = request["n_ctx"], request["n_seq"]
        options.n_batch = options.n_ubatch = request["n_batch"]
        options.type_k, options.type_v = request["type_k"], request["type_v"]
        options.flash_attn_type = request["flash_attention"]
        options.kv_unified = request["is_unified"]
        options.n_threads = options.n_threads_batch = 1
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        tokens, n = tokenised(vocabulary)
        context = llama_cpp.llama_init_from_model(model, options)
        if context is None:
            return {"outcome": "no_context"}
        if request["with_weights"]:
            return decoded(context, tokens, min(n, N_DECODED, options.n_batch))
        return {"outcome": "ok"}
    finally:
        if context is not None:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def tokenised(vocabulary: object) -> tuple[ctypes.Array[ctypes.c_int32], int]:
    """Turn a text into tokens and every token into text."""
    tokens = (ctypes.c_int32 * N_TOKENS)()
    n = 0
    for mode in (NO, YES):
        n = llama_cpp.llama_tokenize(vocabulary, TEXT, len(TEXT), tokens, N_TOKENS, mode, mode)
    n = max(n, 1)  # where nothing fits, token 0 will do
    buffer = ctypes.create_string_buffer(1 << 16)
    llama_cpp.llama_detokenize(vocabulary, tokens, n, buffer, len(buffer), NO, YES)
    for token in range(min(4096, llama_cpp.llama_vocab_n_tokens(vocabulary))):
        llama_cpp.llama_token_to_piece(vocabulary, token, buffer, len(buffer), 0, YES)
        llama_cpp.llama_vocab_is_eog(vocabulary, token)
    return tokens, n


def decoded(context: object, tokens: ctypes.Array[ctypes.c_int32], n: int) -> dict[str, object]:
    """Decode a prompt and three tokens more, and move the state to another sequence."""
    code = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, n))
    for _ in range(3):
        if code:
            return {"outcome": "not_decoded", "code": code}
        llama_cpp.llama_get_logits_ith(context, -1)[0]
        one = (ctypes.c_int32 * 1)(tokens[0])
        code = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(one, 1))
    n_bytes = llama_cpp.llama_state_seq_get_size(context, 0)
    state = (ctypes.c_uint8 * n_bytes)()
    llama_cpp.llama_state_seq_get_data(context, state, n_bytes, 0)
    llama_cpp.llama_state_seq_set_data(context, state, n_bytes, 1)
    return {"outcome": "ok"}


def main() -> None:
    """Answer until stdin ends."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash here is expected and wants no core file
    last_error = ""

    def on_log(level: int, text: bytes, _data: object) -> None:
        nonlocal last_error
        line = text.decode(errors="replace").strip()
        if level == ERROR_LEVEL and not (last_error and line.endswith("failed to load model")):
            last_error = line  # the one excepted ends every failure and says nothing

    callback = llama_cpp.llama_log_callback(on_log)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    for line in sys.stdin:
        last_error = ""
        answer = attempt(json.loads(line))
        sys.stdout.write(json.dumps({**answer, "detail": last_error}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
