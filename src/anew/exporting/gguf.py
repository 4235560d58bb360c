"""A GGUF file for llama.cpp and the programs built on it. The architecture is `qwen3`.

llama.cpp splits text into words by one of its built-in regular expressions, before it merges bytes. The sub-word tokenizer of Anew
uses one of them, unless letters have marks. For such runs, and older ones with another rule, the share of differing ids is measured, and
the export is refused if it is large: the network would read other ids than it was trained on. Vocabularies of
characters are written as a unigram tokenizer, whose pieces are the characters themselves, except that U+2581 stands for a space.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anew.core import files
from anew.core.specs import Tokens
from anew.data.formats.text.tokenizer import word_pattern
from anew.data.formats.text.word_rules import sub_word_rule
from anew.data.modalities.text import Text
from anew.errors import ConfigError
from anew.exporting.base import Target
from anew.exporting.card import language_model_card, run_name
from anew.exporting.graph import Q8_0_BLOCK, to_f16
from anew.exporting.language_model import LanguageModel, language_model
from anew.sampling.model import Model

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from tokenizers import Tokenizer

PRE_TOKENIZER = "gpt-2"  # llama.cpp's name of the regular expression `sub_word_rule(with_marks=False)`
MAX_DIFFERING_SHARE = 0.001  # share of ids that llama.cpp may split differently; chosen: the network hardly notices
MEASURED_SAMPLES, MEASURED_TOKENS = 8, 1000  # the share is measured on these: enough to see one id in a thousand
SPACE = "\u2581"  # a space in a unigram vocabulary
NORMAL, UNKNOWN, CONTROL = 1, 2, 3  # GGUF's token types
TENSOR_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
USE = """\
```sh
llama-completion -m {file} -p "PROMPT" -n 200
```

`llama-completion` comes with llama.cpp; LM Studio, Ollama and others read the same file. It continues a prompt; it does not chat."""


class Gguf(Target):
    """A .gguf file and a card."""

    name: ClassVar[str] = "gguf"

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        import gguf

        stock = language_model(model)
        modality = model.modality
        assert isinstance(modality, Text)  # language_model has checked it
        is_bytes = modality.tokenizer.vocabulary_type == "bpe"
        differing = check_word_splits(model, stock) if is_bytes else 0.0
        file = folder / f"model-{number_type}.gguf"
        writer = gguf.GGUFWriter(file, "qwen3")
        writer.add_name(run_name(model))
        _add_sizes(writer, stock)
        _add_sampling(writer, model)
        (_add_merges if is_bytes else _add_characters)(writer, stock)
        _add_special_ids(writer, stock)
        file_type = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}[number_type]
        writer.add_file_type(gguf.LlamaFileType[file_type])
        for name, tensor in stock.decoder.state.items():
            _add_tensor(writer, _rename(name), tensor.float().numpy(), number_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        notes = [*stock.notes, *_gguf_notes(stock, is_bytes, differing)]
        use = USE.format(file=file.name)
        card = language_model_card(model, "gguf", use, notes, stock.decoder.left_out, stock.context)
        files.write_text(folder / "README.md", card)
        return notes


def _add_sizes(writer: GGUFWriter, stock: LanguageModel) -> None:
    config = stock.decoder.config
    writer.add_context_length(stock.context)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_sampling(writer: GGUFWriter, model: Model) -> None:
    """Add the run's sampling settings, which are llama.cpp's defaults for this file."""
    sampling: Any = model.sampling_config()
    writer.add_sampling_temp(sampling.temperature)
    writer.add_sampling_top_k(sampling.top_k)
    writer.add_sampling_top_p(sampling.top_p)
    writer.add_sampling_min_p(sampling.min_p)


def _rename(name: str) -> str:
    """llama.cpp's name of a tensor of `Qwen3ForCausalLM`."""
    stem = name.removesuffix(".weight")
    if stem in TENSOR_NAMES:
        return f"{TENSOR_NAMES[stem]}.weight"
    layer, _, part = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{TENSOR_NAMES[part]}.weight"


def _add_tensor(writer: GGUFWriter, name: str, values: NDArray[np.float32], number_type: str) -> None:
    """Add a tensor: vectors in f32, matrices in the number type, or in f16 where q8_0 needs rows of whole blocks, or in f32 where f16
    overflows."""
    import gguf

    if values.ndim == 1 or number_type == "f32":
        writer.add_tensor(name, values)
    elif number_type == "q8_0" and values.shape[1] % Q8_0_BLOCK == 0:
        quantization = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, quantization), raw_dtype=quantization)
    else:
        halves = to_f16(values)
        writer.add_tensor(name, values if halves is None else halves)


# ---- tokens ----


def _token_names(stock: LanguageModel) -> list[str]:
    """The token of each id."""
    size = int(stock.decoder.config["vocab_size"])
    return [str(stock.tokenizer.id_to_token(index)) for index in range(size)]


def _special_tokens(stock: LanguageModel) -> set[str]:
    """Names of the tokens that stand for no text."""
    return {token.content for token in stock.tokenizer.get_added_tokens_decoder().values()}


def _add_merges(writer: GGUFWriter, stock: LanguageModel) -> None:
    """Add the tokenizer of a sub-word vocabulary."""
    names, special = _token_names(stock), _special_tokens(stock)
    merges: Sequence[str | Sequence[str]] = json.loads(stock.tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(names)
    writer.add_token_types([CONTROL if name in special else NORMAL for name in names])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])


def _add_characters(writer: GGUFWriter, stock: LanguageModel) -> None:
    """Add the tokenizer of a vocabulary of characters; a character that it lacks is read as the unknown token.

    Raises:
        ConfigError: The vocabulary has the character that stands for a space in such a file.
    """
    names, special = _token_names(stock), _special_tokens(stock)
    if SPACE in names:
        raise ConfigError(
            f"llama.cpp writes a space as {SPACE!r} (U+2581), which this run's texts have as a character of their own, so it could "
            "not load the file; export to transformers, or train with tokens=bpe"
        )
    characters = {index: name for index, name in enumerate(names) if name not in special and len(name) == 1}
    unknown = _unknown_id(stock, names, characters)
    types = [NORMAL if index in characters else CONTROL for index in range(len(names))]
    types[unknown] = UNKNOWN
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([SPACE if name == " " else name for name in names])
    writer.add_token_scores([-1.0 if index in characters else 0.0 for index in range(len(names))])
    writer.add_token_types(types)
    writer.add_unk_token_id(unknown)
    writer.add_remove_extra_whitespaces(False)


def _unknown_id(stock: LanguageModel, names: Sequence[str], characters: Iterable[int]) -> int:
    """The id as which a character outside of the vocabulary is read."""
    name = json.loads(stock.tokenizer.to_str())["model"].get("unk_token")
    return names.index(name) if name in names else min(characters)


def _add_special_ids(writer: GGUFWriter, stock: LanguageModel) -> None:
    ids = {"bos": stock.begin_id, "eos": stock.end_id, "pad": stock.pad_id}
    for name, index in ids.items():
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    prepends_begin = json.loads(stock.tokenizer.to_str())["post_processor"] is not None
    writer.add_add_bos_token(prepends_begin)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def check_word_splits(model: Model, stock: LanguageModel) -> float:
    """The share of ids that llama.cpp splits differently: 0 with the same regular expression, else measured on samples of the run.

    Raises:
        ConfigError: The share is above MAX_DIFFERING_SHARE.
    """
    rule = word_pattern(stock.tokenizer.to_str())
    if rule == sub_word_rule(with_marks=False):
        return 0.0
    is_packed = isinstance(model.spec, Tokens) and model.spec.packed
    texts = model.sample(MEASURED_SAMPLES, max_tokens=MEASURED_TOKENS if is_packed else 0)
    share = differing_share(stock.tokenizer, [str(text) for text in texts])
    if share > MAX_DIFFERING_SHARE:
        reason = (
            "it cuts words at the marks on letters, which this run keeps; export to transformers, or train with tokens=characters"
            if rule == sub_word_rule(with_marks=True)
            else "the run was trained by an older version of Anew; train again, or export to transformers"
        )
        raise ConfigError(
            f"llama.cpp would split {share:.1%} of this run's sub-words differently (at most {MAX_DIFFERING_SHARE:.1%} is allowed), since "
            f"{reason}"
        )
    return share


def differing_share(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """The share of ids that change where words are split as llama.cpp does."""
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.to_str())
    state["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": sub_word_rule(with_marks=False)}
    exported = Tokenizer.from_str(json.dumps(state))
    total = different = 0
    for text in texts:
        own_spans = _id_spans(tokenizer, text)
        total += len(own_spans)
        different += len(own_spans - _id_spans(exported, text))
    return different / max(1, total)


def _id_spans(tokenizer: Tokenizer, text: str) -> set[tuple[int, int, int]]:
    """The ids of a text, each with its start and end."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return {(index, *span) for index, span in zip(encoding.ids, encoding.offsets, strict=True)}


def _gguf_notes(stock: LanguageModel, is_bytes: bool, differing: float) -> list[str]:
    notes = []
    if differing:
        notes.append(f"llama.cpp splits words by another rule: {differing:.2%} of ids differ on samples of the run.")
    if not is_bytes:
        notes.append("Neighbouring characters outside of the vocabulary are read as a single unknown token.")
    if stock.never_sampled:
        notes.append(
            f"llama.cpp may sample {len(stock.never_sampled)} ids that the run never samples; the network gives them almost no probability."
        )
    return notes


EXPORT = Gguf
