"""The view of how a Transformer reads a sentence: attention, next tokens, and the predictions of network and counts."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from anew.core.specs import Batch, Tokens
from anew.data.modalities.text import Text
from anew.errors import ConfigError
from anew.families.base import SamplesTokens
from anew.families.explaining import Attends
from anew.sampling.conditioning import condition_from_prompt
from anew.sampling.model import Model
from anew.sampling.request_checks import class_index
from anew.server.work import Channel
from anew.studio_app.loaded_models import Player
from anew.studio_app.sample_work import CUTOFFS, Json, PlayWork, SampleOptions, token_event, token_text

MAX_READ = 96  # tokens of a sentence: attention is shown for each pair; chosen
MAX_HEADS = 32  # that are shown, each as an image; chosen
NUM_NEXT = 14  # candidates for the next token: others are hardly ever drawn; chosen


class SentenceWork(PlayWork):
    """A sentence as the model reads it.

    Args:
        channel: Receives events.
        options: Sample options, with the sentence as prompt.
    """

    def __init__(self, player: Player, channel: Channel[object], options: SampleOptions) -> None:
        super().__init__(player, channel)
        self.options = options

    def events(self, model: Model) -> Iterator[Json]:
        family, modality, spec = model.family, model.item_modality, model.item_spec
        if not isinstance(family, Attends) or not isinstance(modality, Text) or not isinstance(spec, Tokens):
            raise ConfigError("this model does not read text")
        ids, was_cut = self._ids(model, spec)
        if len(ids) < 2:
            raise ConfigError("the sentence is empty; type some words")
        labels = None
        if self.options.label is not None:
            labels = torch.tensor([class_index(model.labels, self.options.label)])
        end_id = spec.special.get("end", -1)
        batch = Batch(ids[None], labels).to(model.device)
        sides = family.log_probs_by_side(batch)
        yield {
            "tokens": [token_text(modality, int(token), end_id) for token in ids],
            "was_cut": was_cut,
            "sides": {name: (-nats[0] / math.log(2)).tolist() for name, nats in sides.items()},
        }
        yield self._attention(family, ids, labels, model)
        yield {"next": self._next(model, modality, end_id)}

    def _ids(self, model: Model, spec: Tokens) -> tuple[Tensor, bool]:
        """(L,) ids of the sentence, begin tokens included, and whether it was truncated."""
        condition = condition_from_prompt(model.modality, self.options.prompt or "", None)
        assert condition is not None
        ids = torch.as_tensor(condition.x).flatten().long()
        max_tokens = min(MAX_READ, spec.length)
        return ids[:max_tokens], len(ids) > max_tokens

    @staticmethod
    def _attention(family: Attends, ids: Tensor, labels: Tensor | None, model: Model) -> Json:
        """The attention of all heads over the whole sentence, as base64 of one byte per weight."""
        inputs = torch.cat((ids, ids[-1:]))  # so that the last token is an input, too; its target does not matter here
        weights = family.attention_weights(Batch(inputs[None], labels).to(model.device))[
            :, :, 0
        ]  # (layers, heads, L, L)
        skipped = weights.shape[2] - len(ids)  # tokens of a label
        heads = weights.flatten(0, 1)[:MAX_HEADS, skipped:, skipped:]
        levels = heads.mul(255).round().clamp(0, 255).byte().cpu().numpy()
        return {
            "heads": weights.shape[1],
            "shown": len(heads),
            "attention": base64.b64encode(levels.tobytes()).decode(),
        }

    def _next(self, model: Model, modality: Text, end_id: int) -> Json | None:
        """Candidates for the next token, before and after temperature and cutoffs."""
        options, family = self.options, model.family
        if not isinstance(family, SamplesTokens):
            return None
        sampling = model.sampling_config({**options.settings, "max_tokens": "1"})
        condition = condition_from_prompt(model.modality, options.prompt or "", None)
        request = model.request(1, options.seed, label=options.label, condition=condition, sampling=sampling)
        cutoffs = {name: getattr(sampling, name) for name in CUTOFFS if hasattr(sampling, name)}
        for draft in family.sample_tokens(request, [(options.seed, 0)]):
            return token_event(modality, int(draft.ids[0][-1]), draft.weights[0], end_id, cutoffs, NUM_NEXT)
        return None
