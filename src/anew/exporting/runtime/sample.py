"""Samples from the networks in this folder: python sample.py -n 16 --seed 0 --out samples

Needs numpy and onnxruntime. sampler.json holds the steps; each row of a value belongs to a sample.
"""

import argparse
import json
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[np.number]
Values = dict[str, Array]
Step = Mapping[str, Any]  # a step of sampler.json
STEPS = ("normal", "choose", "choose_row", "one_hot", "run", "denoise", "tokens")  # each is a method
MIN_WEIGHT = 1e-30  # where all allowed tokens together weigh less, they are drawn by their own weights, as in the run


class Sampler:
    """The sampler in a folder. `Sampler(".").sample(16)` returns (n, ...) numbers or ids."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.program = json.loads((self.folder / "sampler.json").read_text(encoding="utf-8"))
        self.sessions: dict[str, ort.InferenceSession] = {}

    def run(self, graph: str, *inputs: Array) -> list[Array]:
        """All outputs of a graph."""
        if graph not in self.sessions:
            if Path(graph).name != graph:
                raise ValueError(f"{graph!r} is not the name of a graph in this folder")
            path = str(self.folder / f"{graph}.onnx")
            self.sessions[graph] = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        session = self.sessions[graph]
        names = [graph_input.name for graph_input in session.get_inputs()]
        outputs: list[Array] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    def sample(
        self, n: int, seed: int = 0, label: str | None = None, known: Mapping[str, Array] | None = None, **tokens: float
    ) -> Array:
        """Draw n samples.

        Args:
            n: Number of samples.
            seed: Seed of the random numbers.
            label: Class of all samples; None draws one for each, with its share in the data or, with a prompt, by how likely that is
                of each class.
            known: Values by name that are given instead of drawn.
            tokens: `new`, temperature, top_k, top_p and min_p of tokens, in place of the run's.

        Returns:
            (n, ...) numbers, or (n, L) ids.
        """
        return self.sample_with_classes(n, seed, label, known, **tokens)[0]

    def sample_with_classes(
        self, n: int, seed: int = 0, label: str | None = None, known: Mapping[str, Array] | None = None, **tokens: float
    ) -> tuple[Array, Array | None]:
        """The samples of `sample`, and the numbers (n,) of their classes; None without classes."""
        rng = np.random.default_rng(seed)
        values: Values = dict(known or {})
        classes = self._classes(n, label, values, rng)
        values |= {} if classes is None else {"classes": classes}
        for step in self.program["steps"]:
            if step["step"] not in STEPS:
                raise ValueError(f"sampler.json has an unknown step {step['step']!r}")
            if step["out"] not in values:
                settings = tokens if step["step"] == "tokens" else {}
                values[step["out"]] = getattr(self, f"_{step['step']}")({**step, **settings}, n, values, rng)
        return values[self.program["steps"][-1]["out"]], values.get("classes")

    def _classes(self, n: int, label: str | None, values: Values, rng: np.random.Generator) -> Array | None:
        """The numbers (n,) of the classes to draw; None without classes, or where they are known."""
        labels = self.program["labels"]
        names = [] if labels is None else labels["names"]
        if label is not None and label not in names:
            raise ValueError(f"the class {label!r} is unknown; there is {', '.join(map(repr, names)) or 'none'}")
        if label is not None:
            return np.full(n, names.index(label))
        if labels is None or "classes" in values:
            return None
        if "prompt" in values:
            weights = np.stack([self.class_weights(labels["shares"], prompt) for prompt in values["prompt"]]).cumsum(1)
            return np.asarray((rng.random((n, 1)) * weights[:, -1:] >= weights).sum(1))
        return np.asarray(rng.choice(len(names), n, p=np.array(labels["shares"]) / sum(labels["shares"])))

    def class_weights(self, shares: Sequence[float], prompt: Array) -> Array:
        """(C,) how likely each class is of a text that begins with these ids (L,), which are read one after another."""
        step = next(step for step in self.program["steps"] if step["step"] == "tokens")
        begin = [] if step["begin"] is None else [step["begin"]]
        ids = np.append(np.array(begin, np.int64), prompt)[-step["window"] - 1 :]
        with np.errstate(divide="ignore"):
            log_weights = np.log(np.array(shares))
        inputs = np.concatenate(
            [step["label_base"] + np.arange(len(shares))[:, None], np.tile(ids, (len(shares), 1))], 1
        )
        layers, heads, size = step["cache"]
        cache: list[Array] = [np.zeros((layers, len(shares), heads, 0, size), np.float32)] * 2
        for place in range(len(ids)):
            logits, *cache = self.run(step["graph"], inputs[:, [place]], np.array([place]), *cache)
            if place:  # the first of the ids is given
                logits = logits[:, : step["vocab"]].astype(np.float64)
                highest = logits.max(1)
                log_weights += logits[:, ids[place]] - highest - np.log(np.exp(logits - highest[:, None]).sum(1))
        return np.asarray(np.exp(log_weights - log_weights.max()))

    def _normal(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        return np.asarray(step["scale"] * rng.standard_normal((n, *step["shape"])), np.float32)

    def _choose(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        weights = np.tile(np.array(step["weights"]), (n, 1))
        if "classes" in values:
            weights *= np.array(step["classes"]) == values["classes"][:, None]
        cumulative = weights.cumsum(1)
        index = (rng.random((n, 1)) * cumulative[:, -1:] >= cumulative).sum(1)
        return np.where(cumulative[:, -1] > 0, np.minimum(index, len(step["weights"]) - 1), int(step["otherwise"]))

    def _choose_row(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        cumulative = np.array(step["table"])[values[step["row"]]].cumsum(1)
        index = (rng.random((n, 1)) * cumulative[:, -1:] >= cumulative).sum(1)
        return np.asarray(np.minimum(index, cumulative.shape[1] - 1))

    def _one_hot(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        return np.asarray(np.eye(step["size"], dtype=np.float32)[values[step["index"]]])

    def _run(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        return self.run(step["graph"], *(values[name] for name in step["inputs"]))[0]

    def _denoise(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        """DPM-Solver++ 2M, or with new noise at each step SDE-DPM-Solver++ 2M (arXiv 2211.01095)."""
        sigmas, state = np.array(step["sigmas"], np.float32), values[step["state"]] * np.float32(step["scale"])
        if step["noise"] is not None:
            state = state + sigmas[0] * values[step["noise"]]
        renoise = None if step["renoise"] is None else values[step["renoise"]]
        inputs = [values[name] for name in step["inputs"]]
        denoised = previous = state
        for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            previous, denoised = denoised, self.run(step["graph"], state, np.full(n, sigma, np.float32), *inputs)[0]
            extrapolated = denoised
            if i > 0 and sigma_next > 0:
                ratio = np.log(sigma / sigma_next) / np.log(sigmas[i - 1] / sigma)
                extrapolated = denoised + np.float32(0.5) * ratio * (denoised - previous)
            state = extrapolated + (sigma_next / sigma) ** np.float32(1.0 + step["eta"]) * (state - extrapolated)
            if renoise is not None and sigma_next > 0:
                share = np.sqrt(1 - (sigma_next / sigma) ** np.float32(2.0 * step["eta"]))
                state = state + sigma_next * share * renoise[:, i]
        return np.clip(denoised, -1.0, 1.0) if step["clip"] else denoised

    def _tokens(self, step: Step, n: int, values: Values, rng: np.random.Generator) -> Array:
        """Ids (n, L), one after another."""
        uniforms = iter(values["uniform"]) if "uniform" in values else (rng.random(n) for _ in count())
        ids = values.get("prompt", np.zeros((n, 0), np.int64))
        begin = [] if step["begin"] is None else [step["begin"]]
        hidden = step["opening"] if step["opening"] and not ids.shape[1] else begin
        num_begin = len(hidden)
        if num_begin:
            ids = np.concatenate([np.tile(hidden, (n, 1)), ids], 1)
        elif not ids.shape[1]:
            allowed = NextTokens(step, ids).allowed(step["new"])
            ids = _draw(_restrict(np.tile(np.array(step["first"]), (n, 1)), allowed), next(uniforms))[:, None]
        label = np.zeros((n, 0), np.int64)
        if step["label_base"] is not None:
            label = step["label_base"] + values["classes"][:, None]
        cached, num_kept, has_ended = None, step["window"], np.zeros(n, bool)
        following, most = NextTokens(step, ids), step["new"]
        if not step["packed"]:
            most = max(1, min(most, step["window"] + 1 - ids.shape[1]))
        for num_after in reversed(range(most)):
            # A full window starts again from its second half
            if cached is None or cached.shape[1] >= step["context"]:
                inputs, cached = np.concatenate([label, ids[:, -num_kept:]], 1), label[:, :0]
                num_kept = max(1, step["window"] // 2)
                layers, heads, size = step["cache"]
                cache = [np.zeros((layers, n, heads, 0, size), np.float32)] * 2
            else:
                inputs = np.concatenate([cached, ids[:, -1:]], 1)
            positions = np.arange(cached.shape[1], inputs.shape[1])
            indices = [self._neighbour(positions, offset, step["prefix"]) for offset in step["offsets"]]
            neighbours = [np.stack([inputs[:, index] for index in indices], 1)] if indices else []
            logits, *cache = self.run(step["graph"], inputs[:, positions], positions, *cache, *neighbours)
            cached = inputs
            allowed = following.allowed(num_after)
            if num_after == most - 1 and hidden is step["opening"] and step["end"] is not None:
                allowed = allowed & (np.arange(step["vocab"]) != step["end"])  # no sample is empty
            new = _draw(_filter(logits[:, : step["vocab"]], step, allowed), next(uniforms))
            if step["end"] is not None:
                new = np.where(has_ended, step["pad"], new)
                has_ended |= new == step["end"]
            following.read(new)
            ids = np.concatenate([ids, new[:, None]], 1)
            if has_ended.all():
                break
        return ids[:, num_begin:]

    @staticmethod
    def _neighbour(positions: Array, offset: int, prefix: int) -> Array:
        return np.asarray(np.minimum(np.maximum(positions + 1 - offset, prefix - 1), positions))

    def save(self, samples: Array, out: str | Path, classes: Array | None = None) -> list[Path]:
        """Write each sample as a file: PNG, WAV or text, clips as folders of PNG frames, anything else as .npy.

        classes: (n,) numbers of the classes, where files of some classes have suffixes of their own.
        """
        folder, item = Path(out), self.program["item"]
        folder.mkdir(parents=True, exist_ok=True)
        if item["kind"] == "sound":
            from sound import cut_tail, resampled, wav, waves  # type: ignore[import-not-found]  # next to this file

            sounds, rate = waves(samples, item), item["written_rate"]
            if item["trim"]:
                sounds = [cut_tail(sound, item["rate"])[: item.get("longest")] for sound in sounds]
            sounds = [resampled(sound, item["rate"], rate) for sound in sounds]
            return _write_files(folder, ".wav", [wav(sound, rate) for sound in sounds])
        if item.get("matching"):
            from pixel_steps import matched  # type: ignore[import-not-found]  # next to this file where it is needed

            def levels(images: Array) -> Array:
                return np.asarray((np.nan_to_num(images) + 1.0) * 127.5)

            if samples.ndim == 4:
                samples = matched(levels(samples), item["matching"]) / 127.5 - 1.0
            else:  # clips, (n, C, T, H, W)
                clips = [matched(levels(clip.swapaxes(0, 1)), item["matching"]) / 127.5 - 1.0 for clip in samples]
                samples = np.stack(clips).swapaxes(1, 2)
        if item["kind"] == "image":
            return _write_files(folder, ".png", [png(image) for image in samples])
        if item["kind"] == "text":
            suffixes: str | list[str] = item["suffix"]
            if classes is not None and item["suffixes"]:
                suffixes = [item["suffixes"][number] for number in classes]
            return _write_files(folder, suffixes, [text(ids, item) for ids in samples])
        if item["kind"] == "clip":
            clips = [[png(frame) for frame in clip.swapaxes(0, 1)] for clip in samples]
            return [path for i, clip in enumerate(clips) for path in _write_files(folder / f"{i:04d}", ".png", clip)]
        np.save(folder / "samples.npy", samples)
        return [folder / "samples.npy"]


class NextTokens:
    """Which tokens may follow n texts: none that is never sampled, and none that would break a character of UTF-8."""

    def __init__(self, step: Step, ids: Array) -> None:
        """ids: (n, L) so far."""
        self.is_sampled = ~np.isin(np.arange(step["vocab"]), step["never"])  # (V,)
        self.states = np.zeros(len(ids), np.int64)  # the state after the bytes so far; 0 after a whole character
        table = step["characters"]
        self.has_table = table is not None
        if self.has_table:
            self.next_state = np.array(table["columns"])[table["kinds"]]  # (V, S), -1 where a token may not come
            num_needed = np.append(np.array(table["to_end"]), len(table["to_end"]))  # tokens to the end of a character
            self.to_end = num_needed[self.next_state]
        for tokens in ids[:, -3:].T:
            self.read(tokens)

    def read(self, tokens: Array) -> None:
        """Go on by a token of each text (n,); one that may not come is read as if the text began with it."""
        if self.has_table:
            states = self.next_state[tokens, self.states]
            states = np.where(states < 0, self.next_state[tokens, 0], states)
            self.states = np.maximum(states, 0)

    def allowed(self, num_after: int) -> Array:
        """(n, V) whether a token may come. num_after: how many can come after it."""
        if not self.has_table:
            return np.broadcast_to(self.is_sampled, (len(self.states), len(self.is_sampled)))
        return np.asarray(self.is_sampled & (min(num_after, 3) >= self.to_end[:, self.states].T))


def _restrict(weights: Array, allowed: Array) -> Array:
    """(n, V) weights of only the allowed tokens, whose rows sum to 1; equal ones where a network is so sure of other tokens that all
    of these have 0."""
    weights = np.where(allowed, weights, 0.0)
    weights = np.where(weights.sum(1, keepdims=True) < MIN_WEIGHT, allowed, weights)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _filter(logits: Array, step: Step, allowed: Array) -> Array:
    """(n, V) probabilities after temperature, top-k, min-p and top-p; the most probable of the allowed tokens always stays."""
    weights = _restrict(np.exp(logits - logits.max(1, keepdims=True)), allowed)
    if step["temperature"] == 0.0:
        return np.asarray(np.eye(weights.shape[1], dtype=np.float32)[weights.argmax(1)])
    if step["temperature"] != 1.0:
        weights = (weights / weights.max(1, keepdims=True)) ** (1.0 / step["temperature"])
    ordered = np.sort(weights, 1)[:, ::-1]
    if 0 < step["top_k"] < weights.shape[1]:
        weights = np.where(weights >= ordered[:, step["top_k"] - 1 : step["top_k"]], weights, 0.0)
    weights = np.where(weights >= step["min_p"] * ordered[:, :1], weights, 0.0)
    if step["top_p"] < 1.0:
        order = np.argsort(-weights, 1, kind="stable")
        shares = np.take_along_axis(weights, order, 1) / weights.sum(1, keepdims=True)
        is_cut = shares.cumsum(1) - shares >= max(step["top_p"], 1e-9)
        np.put_along_axis(weights, order, np.where(is_cut, 0.0, shares), 1)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _draw(weights: Array, uniform: Array) -> Array:
    """(n,) an index for each row: the first whose cumulative share exceeds the row's uniform number."""
    cumulative = weights.cumsum(1)
    index, last = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(1), (cumulative < cumulative[:, -1:]).sum(1)
    return np.asarray(np.minimum(index, last))


def _write_files(folder: Path, suffixes: str | Sequence[str], contents: Sequence[bytes]) -> list[Path]:
    """suffixes: one for each file, or a text for all."""
    folder.mkdir(parents=True, exist_ok=True)
    endings = [suffixes] * len(contents) if isinstance(suffixes, str) else suffixes
    paths = [folder / f"{i:04d}{ending}" for i, ending in enumerate(endings)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def text(ids: Array, item: Step) -> bytes:
    """The text of the ids of one sample, in UTF-8."""
    pieces: list[str] = item["tokens"]
    return "".join(pieces[i] for i in ids if i < len(pieces) and i not in item["skip"]).encode("latin-1")


def png(image: Array) -> bytes:
    """An image (C, H, W) in [-1, 1] as the bytes of a PNG."""
    unit = np.clip((np.nan_to_num(image) + 1.0) * 0.5, 0.0, 1.0)
    if len(unit) == 4:  # colours are multiplied by alpha
        alpha = np.rint(unit[3:] * 255.0) / 255.0
        colour = np.where(alpha > 0, unit[:3] / np.maximum(alpha, 1 / 255), 0.0)
        unit = np.concatenate([np.minimum(colour, 1.0), alpha])
    levels = np.rint(unit * 255.0).astype(np.uint8)
    channels, height, width = levels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), levels.transpose(1, 2, 0).reshape(height, -1)], 1)
    colour_type = {1: 0, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Samples from the networks in this folder.")
    parser.add_argument("-n", type=int, default=16, help="how many samples (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--label", help="class of all samples (default: each with its share in the data)")
    parser.add_argument("--out", default="samples", help="output folder (default: samples)")
    arguments = parser.parse_args()
    if arguments.n < 1:
        parser.error(f"-n must be at least 1 (got {arguments.n})")
    out = Path(arguments.out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        parser.error(f"--out {arguments.out} exists, and no file is replaced; give a new or empty folder")
    sys.path.insert(0, str(Path(__file__).parent))  # `python -I` leaves the program's own folder out
    sampler = Sampler(Path(__file__).parent)
    samples, classes = sampler.sample_with_classes(arguments.n, arguments.seed, arguments.label)
    paths = sampler.save(samples, out, classes)
    print(f"{len(paths)} file{'' if len(paths) == 1 else 's'} in {arguments.out}")


if __name__ == "__main__":
    main()
