"""A folder that `transformers`, vLLM, SGLang and others load without code of Anew."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from anew.core import files
from anew.core.settings import to_json
from anew.exporting.base import Target
from anew.exporting.card import json_text, language_model_card
from anew.exporting.language_model import LanguageModel, language_model, tokenizer_json
from anew.runs.weights import write_weights
from anew.sampling.model import Model

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
USE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH")
model = AutoModelForCausalLM.from_pretrained("PATH")
ids = tokenizer("PROMPT", return_tensors="pt")
print(tokenizer.decode(model.generate(**ids)[0], skip_special_tokens=True))
```"""


class Transformers(Target):
    """config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json and a card."""

    name: ClassVar[str] = "transformers"

    def write(self, model: Model, folder: Path, number_type: str) -> list[str]:
        stock = language_model(model)
        ids = {"bos_token_id": stock.begin_id, "eos_token_id": stock.end_id, "pad_token_id": stock.pad_id}
        dtype = DTYPES[number_type]
        config = {**stock.decoder.config, "dtype": str(dtype).removeprefix("torch.")}
        files.write_text(folder / "config.json", json_text(config | ids))
        files.write_text(folder / "generation_config.json", json_text(_generation_config(model, stock) | ids))
        files.write_text(folder / "tokenizer.json", tokenizer_json(stock.tokenizer))
        files.write_text(folder / "tokenizer_config.json", json_text(_tokenizer_config(stock)))
        weights = {tensor_name: tensor.to(dtype) for tensor_name, tensor in stock.decoder.state.items()}
        write_weights(folder, weights)
        card = language_model_card(model, "transformers", USE, stock.notes, stock.decoder.left_out, stock.context)
        files.write_text(folder / "README.md", card)
        return list(stock.notes)


def _generation_config(model: Model, stock: LanguageModel) -> dict[str, object]:
    """Contents of generation_config.json: the run's own sampling settings."""
    sampling = to_json(model.sampling_config())
    config: dict[str, object] = {"do_sample": True, "max_length": stock.context}
    config |= {name: sampling[name] for name in ("temperature", "top_k", "top_p", "min_p") if name in sampling}
    if stock.never_sampled:
        config["suppress_tokens"] = list(stock.never_sampled)
    return config


def _tokenizer_config(stock: LanguageModel) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": stock.context,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        "bos_token": stock.token(stock.begin_id),
        "eos_token": stock.token(stock.end_id),
        "pad_token": stock.token(stock.pad_id),
    }


EXPORT = Transformers
