"""Tasks of the page Play. They run in the thread of a model, and send events to the page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core import arguments
from anew.core.arrays import Numbers
from anew.core.specs import Codec, Condition, Grid, SampleRequest, Tokens
from anew.core.wording import are, plural
from anew.data.dataset import Dataset
from anew.data.modalities.code import Code
from anew.data.modalities.text import Text
from anew.errors import ConfigError, UserError
from anew.evaluation.base import load_evaluation
from anew.evaluation.reporting.content import ReportItem
from anew.families.base import Family, SamplesTokens
from anew.families.explaining import Attends, Denoises, Discriminates
from anew.functional.token_choice import filter_probabilities
from anew.runs import lock, timelapse
from anew.runs.weights import weights_path
from anew.sampling.conditioning import check_stop, condition_from_prompt
from anew.sampling.drawing import recordable
from anew.sampling.latents import condition_from_mask
from anew.sampling.model import Model
from anew.sampling.origins import Origin
from anew.sampling.samples import Samples
from anew.server.errors import ApiError
from anew.server.worker import Channel, Task
from anew.studio_app.error_handlers import full_disk
from anew.studio_app.item_views import data_url, item_views
from anew.studio_app.loaded_models import LoadedModel
from anew.workflows.evaluate import evaluation_inputs

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SECONDS_BETWEEN_DRAFTS = 0.1  # ten drafts a second look continuous; more would slow the page down
TOKEN_SETTINGS = ("temperature", "top_k", "top_p", "min_p")  # settings that change the distribution of a token
MAX_TOP = 8  # alternatives that are shown for a token: others are hardly ever drawn; chosen
NEAREST_SECONDS = 60.0  # limit of the search for the nearest training item, for which the user waits; chosen
EXAMPLE_CHARACTERS = 60  # length of the prompt that the page suggests: one line
VIEWABLE = ("image", "audio", "video")  # modalities whose items, drafts included, can be shown as images
Json = dict[str, object]


class PlayTask(Task):
    """A request of a page, which is not batched with others.

    Args:
        events: Yields the events for the page, in order; `channel` receives them, and {"end": True} at last.
        step: A step whose weights are used; None: the newest.
    """

    def __init__(self, loaded: LoadedModel, events: TaskEvents, step: int | None = None) -> None:
        super().__init__()
        self.loaded, self.events, self.step, self.size = loaded, events, step, 1
        self.channel: Channel[object] = Channel()

    def batch_key(self) -> Hashable:
        return None

    def run(self, model: Model, group: Sequence[Task]) -> None:
        try:
            for event in self.events(self, self.loaded.model_at(model, self.step)):
                if self.channel.is_cancelled:
                    return
                self.channel.put(event)
        except UserError as error:
            raise ApiError(400, str(error)) from None
        except OSError as error:
            raise (full_disk(error) or error) from error
        self.channel.put({"end": True})


TaskEvents = Callable[[PlayTask, Model], Iterator[Json]]


def explanation_view(model: Model) -> str:
    """The view of how a model works: "sentence", "noise", "discriminator" or "map"; "" if there is none."""
    family = model.family
    if model.codec is None and isinstance(family, Attends) and isinstance(model.item_modality, Text):
        return "sentence"
    is_pictured = isinstance(model.item_spec, Grid) and model.item_modality.name in VIEWABLE
    if is_pictured and isinstance(family, Denoises):  # also on latents, which the codec decodes
        return "noise"
    if not is_pictured or model.codec is not None:
        return ""
    if isinstance(family, Discriminates):
        return "discriminator"
    has_map = family.codec_config is not None and isinstance(family, Codec) and isinstance(family.latent, Grid)
    return "map" if has_map else ""


def fill_in_mode(model: Model) -> str:
    """How a part of an item can be filled in: "paint" over an image, between the "ends" of a clip, or a "stretch" of sound; "" if it
    cannot."""
    spec = model.item_spec
    if not isinstance(spec, Grid) or not model.fills_in:
        return ""
    return {"image": "paint", "video": "ends", "audio": "stretch"}.get(model.item_modality.name, "")


def about_events(task: PlayTask, model: Model) -> Iterator[Json]:
    """Capabilities of a model."""
    spec, modality = model.item_spec, model.item_modality
    is_text = isinstance(modality, Text) and model.codec is None
    sampling = model.sampling_config()
    shape = [spec.length] if isinstance(spec, Tokens) else list(spec.shape)
    yield {
        "family": model.family_name,
        "modality": modality.name,
        "singular": modality.noun,
        "plural": f"{modality.noun}s",
        "labels": model.labels if model.spec.classes else [],
        "shape": shape,
        "notes": _model_notes(task.loaded.run, model),
        "prompts": is_text,
        "gap": isinstance(modality, Code) and modality.takes_suffix and model.codec is None,
        "tokens": is_text and isinstance(model.family, SamplesTokens),
        "fills": fill_in_mode(model),
        "walks": type(model.family).generate is not Family.generate
        and not isinstance(spec, Tokens)
        and modality.name == "image",
        "explanation_view": explanation_view(model),
        "latents": model.codec is not None,
        "weights": model.identity[1],
        "unfinished": not weights_path(task.loaded.run).is_file(),
        "has_timelapse": bool(timelapse.FRAMES.steps(task.loaded.run)),
        "example": (_example(task.loaded.run) or _sampled_text(model)) if is_text else "",
        "defaults": {name: getattr(sampling, name) for name in sampling.__dataclass_fields__},
    }


def _model_notes(run: Path, model: Model) -> list[str]:
    """The notes on a run and on weights that are not its final ones; without commands, which a page cannot run."""
    if model.checkpoint_step is None:
        return list(model.folder.notes)
    if lock.is_held(run):
        state = "This run is still learning"
    elif model.record.status == "training":
        state = "Training is not finished"
    else:
        state = "The final weights are missing"
    return [*model.folder.notes, f"{state}; these are the weights of step {model.checkpoint_step:,}."]


def _example(run: Path) -> str:
    """The beginning of the text that the run's timelapse shows."""
    tokens = timelapse.scene_facts(run).get("tokens")
    texts = [token for token in tokens if isinstance(token, str)] if isinstance(tokens, list) else []
    return "".join(texts).strip()[:EXAMPLE_CHARACTERS]


def _sampled_text(model: Model) -> str:
    """The beginning of a sample, for runs without a timelapse."""
    family, modality = model.family, model.item_modality
    if not isinstance(family, SamplesTokens) or not isinstance(modality, Text):
        return ""
    sampling = model.sampling_config({"max_tokens": str(EXAMPLE_CHARACTERS)})
    ids: list[int] = []
    for draft in family.sample_tokens(model.request(1, 0, sampling=sampling), [(0, 0)]):
        ids = [int(token) for token in draft.ids[0]]
    end_id = model.item_spec.special.get("end", -1) if isinstance(model.item_spec, Tokens) else -1
    return "".join(token_text(modality, token, end_id) for token in ids).strip()[:EXAMPLE_CHARACTERS]


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """Options of samples; fields as in `Model.sample`."""

    n: int
    seed: int
    label: str | None
    prompt: str | None
    settings: Mapping[str, str]
    suffix: str | None = None
    stop: str | None = None
    first_index: int = 0


def sampling_events(
    task: PlayTask,
    model: Model,
    options: SampleOptions,
    given_part: Callable[[Model], tuple[Numbers, NDArray[np.bool_]] | Condition] | None,
) -> Iterator[Json]:
    """Samples, with their drafts. given_part: returns the part of an item that is kept; None keeps nothing."""
    condition = condition_from_prompt(model.modality, options.prompt, options.suffix)
    if given_part is not None:
        if condition is not None:
            raise ConfigError("filling in takes no prompt; leave `prompt` and `suffix` out")
        condition = condition_from_mask(model, given_part(model))
    sampling, stop = model.sampling_config(options.settings), check_stop(model.modality, options.stop)
    first_index = options.first_index
    request = model.request(
        options.n, options.seed, label=options.label, condition=condition, sampling=sampling, first_index=first_index
    )
    labels = model.label_names(request.labels, options.n)
    shown_at, last, count = 0.0, None, 0
    for count, draft in enumerate(model.family.sample(request, options.seed), 1):
        last = draft
        if task.channel.is_cancelled:
            return
        if time.monotonic() - shown_at >= SECONDS_BETWEEN_DRAFTS:
            yield {
                "draft": count,
                "items": item_views(_samples(model, draft, request, labels), is_draft=True),
            }
            shown_at = time.monotonic()
    assert last is not None
    samples = _samples(model, last, request, labels, stop)
    samples.origins = _origins(model, options, sampling, is_given=given_part is not None)
    yield {
        "items": item_views(samples),
        "samples": task.loaded.keep(samples, last.cpu()),
        "drafts": count,
        "notes": [*_notes(samples), *([] if stop else _cut_off(model, last, count))],
    }


def _samples(
    model: Model, x: Tensor, request: SampleRequest, labels: Sequence[str | None], stop: str | None = None
) -> Samples:
    return Samples(model.decode_items(x.cpu(), request, stop), labels, model.item_modality)


def _origins(model: Model, options: SampleOptions, sampling: DataclassInstance, *, is_given: bool) -> list[Origin]:
    """The origin of each sample. is_given: whether they are filled in from one that no comment can hold."""
    batch, label = (options.first_index, options.n), model.class_name(options.label)
    texts = (options.prompt, options.suffix, options.stop)
    origin = Origin(*model.identity, options.seed, options.first_index, batch, label, *texts, is_given=is_given)
    origin = recordable(origin, model, sampling)
    return [replace(origin, index=options.first_index + i) for i in range(options.n)]


def _notes(samples: Samples) -> list[str]:
    """Notes for the user on samples."""
    num_empty = samples.num_empty_continuations
    if not num_empty:
        return []
    return [
        f"{num_empty:,} of {plural(len(samples), 'sample')} {'adds' if num_empty == 1 else 'add'} nothing to what you gave: the model "
        "ended there, perhaps because nothing in the data begins like this."
    ]


def _cut_off(model: Model, ids: Tensor, num_tokens: int) -> list[str]:
    """A sentence on texts (n, L) that did not end by themselves; none of other items."""
    spec, modality = model.item_spec, model.item_modality
    if (
        not isinstance(spec, Tokens)
        or not isinstance(modality, Text)
        or model.codec is not None
        or "end" not in spec.special
    ):
        return []
    # Prompts may begin with the end token of the text before them
    num_cut = int((ids[:, 1:] != spec.special["end"]).all(1).sum())
    if not num_cut:
        return []
    return [
        f"{num_cut:,} of {plural(len(ids), 'sample')} {are(num_cut)} cut off after {plural(num_tokens, 'token')}; max tokens gives more."
    ]


def text_token_events(model: Model, options: SampleOptions, max_tokens: int) -> Iterator[Json]:
    """A text token by token, with the probability of each and its alternatives. max_tokens: largest number of new tokens."""
    family, modality = model.family, model.item_modality
    if not isinstance(family, SamplesTokens) or not isinstance(modality, Text):
        raise ConfigError("this model does not generate text token by token")
    sampling = model.sampling_config({**options.settings, "max_tokens": str(max_tokens)})
    condition = condition_from_prompt(model.modality, options.prompt or "", None)
    request = model.request(1, options.seed, label=options.label, condition=condition, sampling=sampling)
    end_id = model.item_spec.special.get("end", -1) if isinstance(model.item_spec, Tokens) else -1
    cutoffs = {name: getattr(sampling, name) for name in TOKEN_SETTINGS if hasattr(sampling, name)}
    num_read = 0
    num_prompt = 0 if condition is None else condition.num_kept
    for draft in family.sample_tokens(request, [(options.seed, 0)], reads_prompt=True):
        row, weights = draft.ids[0], draft.weights[0]
        if len(row) <= num_read:
            continue
        num_read = len(row)
        yield token_event(modality, int(row[-1]), weights, end_id, cutoffs) | {"given": len(row) <= num_prompt}


def token_event(
    modality: Text,
    token: int,
    weights: NDArray[np.float32],
    end_id: int,
    cutoffs: Mapping[str, float],
    max_tokens: int = MAX_TOP,
) -> Json:
    """A token and the most probable alternatives, each with its probability before and after temperature and cutoffs."""
    probabilities = weights.astype(np.float64) / max(float(weights.sum(dtype=np.float64)), 1e-300)
    drawn_from = filter_probabilities(torch.from_numpy(probabilities)[None], **cutoffs)[0]  # type: ignore[arg-type]
    drawn_from = drawn_from / drawn_from.sum()
    best = np.argsort(-probabilities, kind="stable")[:max_tokens].tolist()
    entropy = -float((probabilities * np.log2(np.maximum(probabilities, 1e-300))).sum())
    return {
        "text": token_text(modality, token, end_id),
        "is_end": token == end_id,
        "p": float(probabilities[token]),
        "bits": -math.log2(max(float(probabilities[token]), 1e-30)),
        "entropy": entropy,
        "drawn_p": float(drawn_from[token]),
        "cut_p": float(probabilities[drawn_from.numpy() == 0].sum()),
        "left": int((drawn_from > 0).sum()),
        "top": [
            {
                "text": token_text(modality, i, end_id),
                "is_end": i == end_id,
                "p": float(probabilities[i]),
                "drawn_p": float(drawn_from[i]),
            }
            for i in best
        ],
    }


def token_text(modality: Text, token: int, end_id: int) -> str:
    """The text of a token; "" for the end token and others without text."""
    if token == end_id or not 0 <= token < modality.tokenizer.size:
        return ""
    return str(modality.tokenizer.decode([token]))


def walk_events(task: PlayTask, model: Model, options: SampleOptions, stops: int) -> Iterator[Json]:
    """Frames of a walk from sample to sample."""
    settings = arguments.keywords(options.settings, model.walk)
    walk = model.walk(options.n, stops=stops, seed=options.seed, label=options.label, ends=None, **settings)
    yield {"items": item_views(walk.frames), "stops": walk.stops, "samples": task.loaded.keep(walk.frames)}


def nearest_events(task: PlayTask, model: Model, samples_name: str, index: int) -> Iterator[Json]:
    """The training item nearest to a sample, as the report finds it."""
    sample = task.loaded.samples(samples_name, index)[index]
    data = Dataset.reopen(model.record.data, model.folder.path, None)
    try:
        inputs = evaluation_inputs(model, data, [sample], NEAREST_SECONDS, model.record.plan.seed)
        evaluation_class = load_evaluation(data.modality.base.name)
        nearest = evaluation_class(inputs).nearest([sample])
    finally:
        data.close()
    (pair,) = nearest.pairs
    yield {
        "sample": _item_json(pair.sample),
        "nearest": None if pair.nearest is None else _item_json(pair.nearest),
        "caption": pair.caption,
        "close": pair.close,
        "explanation": nearest.explanation,
    }


def _item_json(item: ReportItem) -> Json:
    return {
        "picture": None if item.picture is None else data_url("image/png", item.picture),
        "media": None if item.media is None or not item.is_playable else data_url(item.media_type, item.media),
        "is_video": item.is_video,
        "text": None if item.text is None else item.marked,
    }
