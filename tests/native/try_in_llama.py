"""Runs beside the tests: tries each model file whose path comes in on stdin, and says on stdout how far it got.

A file that llama.cpp cannot bear ends this process, which is what it is for.
"""

from __future__ import annotations

import ctypes
import sys

import llama_cpp

TEXT = "héllo wörld, the quick\n\x00 brown fox 😀 <|im_start|> 12345".encode()
EVERY_BYTE = bytes(range(1, 128)) * 2 + "éλжщ漢字😀".encode() * 4
N_TOKENS = 256


def attempt(path: str) -> str:
    """Load a model as a backend would."""
    parameters = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
    if model is None:
        return "not loaded"
    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_batch, options.n_ubatch, options.n_seq_max = 512, 128, 128, 2
    options.n_threads, options.n_threads_batch = 1, 1
    context = llama_cpp.llama_init_from_model(model, options)
    if context is None:
        llama_cpp.llama_model_free(model)
        return "no context"
    try:
        return use(llama_cpp.llama_model_get_vocab(model), context)
    finally:
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


def use(vocabulary, context):  # type: ignore[no-untyped-def]  # pointers of llama_cpp's untyped layer
    """Tokenise, decode, and move the state to another sequence."""
    tokens = (llama_cpp.llama_token * N_TOKENS)()
    n = llama_cpp.llama_tokenize(vocabulary, TEXT, len(TEXT), tokens, N_TOKENS, True, True)
    more = (llama_cpp.llama_token * 1024)()
    llama_cpp.llama_tokenize(vocabulary, EVERY_BYTE, len(EVERY_BYTE), more, 1024, False, False)
    if n <= 0:
        return f"tokenised to {n}"
    buffer = ctypes.create_string_buffer(1 << 16)
    llama_cpp.llama_detokenize(vocabulary, tokens, n, buffer, len(buffer), False, True)
    for token in range(min(1000, llama_cpp.llama_vocab_n_tokens(vocabulary))):
        llama_cpp.llama_token_to_piece(vocabulary, token, buffer, len(buffer), 0, True)
        llama_cpp.llama_vocab_is_eog(vocabulary, token)
    code = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, min(n, 100)))
    for _ in range(3):
        if code:
            return f"decode {code}"
        llama_cpp.llama_get_logits_ith(context, -1)[0]
        one = (llama_cpp.llama_token * 1)(tokens[0])
        code = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(one, 1))
    n_bytes = llama_cpp.llama_state_seq_get_size(context, 0)
    state = (ctypes.c_uint8 * n_bytes)()
    llama_cpp.llama_state_seq_get_data(context, state, n_bytes, 0)
    llama_cpp.llama_state_seq_set_data(context, state, n_bytes, 1)
    return f"decoded {code}"


def main() -> None:
    """Answer one line for each line."""
    silent = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silent, None)
    llama_cpp.llama_backend_init()
    for line in sys.stdin:
        sys.stdout.write(attempt(line.strip()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
