"""Write the trained weights as a GGUF file that llama.cpp loads as architecture ``llama``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import numpy as np
from attrs import frozen
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

__all__ = ["ModelShape", "Vocabulary", "write_gguf"]


@frozen(kw_only=True)
class ModelShape:
    """Hyperparameters of the network, in llama.cpp's words.

    Heads of 64 rather than 32: flash attention on GPUs wants them, and users try that with this model too.
    """

    n_vocab: int = 1024
    n_embd: int = 256
    n_layer: int = 4
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 512
    n_ctx: int = 2048
    rope_base: float = 10_000.0
    rms_epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head


@frozen(kw_only=True)
class Vocabulary:
    """What llama.cpp must know to cut text and to render chats.

    Attributes:
        tokens: All tokens by id, in GPT-2's printable spelling.
        merges: All merges by rank.
        n_control: How many tokens at the start are control tokens.
        eos: Id of the token that ends a turn.
        separator: Id of the token that stands between documents; also named as bos and padding.
        chat_template: A jinja template.
    """

    tokens: Sequence[str]
    merges: Sequence[str]
    n_control: int
    eos: int
    separator: int
    chat_template: str


def write_gguf(
    path: Path, *, weights: Mapping[str, NDArray[np.float32]], shape: ModelShape, vocabulary: Vocabulary
) -> None:
    """Write a complete model file.

    Matrices become Q8_0, vectors stay F32. The output matrix is the embedding (tied), so it is not written.

    Args:
        path: Where to write; an existing file is replaced.
        weights: By GGUF tensor name; matrices have shape ``(n_out, n_in)``.
        shape: Must agree with the weights.
        vocabulary: Must have ``shape.n_vocab`` tokens.
    """
    writer = GGUFWriter(path, "llama")
    _add_metadata(writer, shape)
    _add_vocabulary(writer, vocabulary)
    for name, weight in weights.items():
        if weight.ndim == 1:
            writer.add_tensor(name, weight)
        else:
            quantised = gguf.quants.quantize(weight, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, quantised, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_metadata(writer: GGUFWriter, shape: ModelShape) -> None:
    writer.add_name("actorllama demo")
    writer.add_author("the actorllama authors")
    writer.add_license("MIT")
    writer.add_description(
        "A tiny chat model to try out actorllama. Trained from generated text; knows little."
    )
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.n_vocab)


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    n_normal = len(vocabulary.tokens) - vocabulary.n_control
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types([TokenType.CONTROL] * vocabulary.n_control + [TokenType.NORMAL] * n_normal)
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_bos_token_id(vocabulary.separator)
    writer.add_pad_token_id(vocabulary.separator)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_eot_token_id(vocabulary.eos)
    # The template alone decides what a prompt begins with, as in other ChatML models.
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(vocabulary.chat_template)
