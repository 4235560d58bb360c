"""Forms of a family for other programs: a network in a stock class, or graphs and the steps that sample from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from anew.nets.decoder import Qwen3Config


@dataclass(frozen=True)
class StockDecoder:
    """A network over tokens, with the names of a class that other libraries have.

    Attributes:
        state: Weights by the names of `transformers.Qwen3ForCausalLM`; without `lm_head.weight` if it equals the embedding.
        config: Contents of its config.json. Ids after the spec's vocabulary are those of labels, the last one of no label.
        left_out: Other parts that the family samples from, which the class cannot hold; one clause each.
    """

    state: Mapping[str, Tensor]
    config: Qwen3Config
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """One function of tensors, which is traced. It must not branch on values, cut rows into pieces, or take `len` of a tensor
    (`x.shape[0]` remains variable, but `len(x)` becomes the number of rows in the example).

    Attributes:
        name: Name of its file.
        owner: The module with all parameters and buffers that the function uses.
        function: Takes the inputs in order, and returns one tensor or a tuple.
        inputs: Examples by name, with two rows or more.
        outputs: Names of the results that the graph gives.
        dynamic: Names of the axes of any size, by input and axis. The first axis of an input that is not named here is "n".
        places: Places of the outputs in the tuple that the function returns; () if they are all of it. Several graphs may give parts of
            what one function returns, which is traced once for all of them.
    """

    name: str
    owner: nn.Module
    function: Callable[..., object]
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    places: tuple[int, ...] = ()

    def axes(self, name: str) -> Mapping[int, str]:
        """Names of the axes of any size of an input."""
        return (self.dynamic or {}).get(name, {0: "n"})


@dataclass(frozen=True)
class PortableSampler:
    """A sampler without code: graphs, and the steps between them.

    Values have names; each row of a value belongs to a sample. A step is a JSON object with the name of its result under "out":

    - `normal(out, shape)`, normal numbers;
    - `choose(out, weights)`, an index drawn by its weight; with a label, among those of its class;
    - `choose_row(out, table, row)`, an index drawn by its weight in a row of a table;
    - `one_hot(out, index, size)`, a row of 0 with a 1 at an index;
    - `run(graph, inputs, out)`, the graph's outputs;
    - `denoise(graph, state, sigmas, out)`, the probability flow from noise to a sample, second order (DPM-Solver++ 2M);
    - `tokens(...)`, one token after another, see `families/transformer/portable.py`.

    Attributes:
        graphs: All graphs, even if no step runs them.
        steps: Steps in order; the result of the last one is the sample.
        left_out: Other parts that the family samples from; one clause each.
        may_repeat: Whether samples may be training records, which the family itself draws again.
        views: Graphs that a page knows by name: "inside" of a decoder and "stages" of a generator show what happens there; "fill" of a
            VAE and "encoder" of a codec keep given parts of an item.
    """

    graphs: tuple[Graph, ...]
    steps: tuple[Mapping[str, object], ...]
    left_out: tuple[str, ...] = ()
    views: tuple[Graph, ...] = ()
    may_repeat: bool = False


def normal(out: str, *shape: int, scale: float = 1.0) -> dict[str, object]:
    """Normal numbers (n, *shape), times a scale."""
    return {"step": "normal", "out": out, "shape": list(shape), "scale": scale}


def choose(out: str, weights: Tensor, classes: Tensor, otherwise: int) -> dict[str, object]:
    """An index (n,) drawn by weight (K,) among those of the sample's class. classes: (K,), -1 for all; otherwise: the index if these
    have no weight."""
    return {
        "step": "choose",
        "out": out,
        "weights": weights.tolist(),
        "classes": classes.tolist(),
        "otherwise": otherwise,
    }


def choose_row(out: str, table: Tensor, row: str) -> dict[str, object]:
    """An index (n,) drawn by the weights in a row of a table (K, F). row: the value (n,) that says which row."""
    return {"step": "choose_row", "out": out, "table": table.tolist(), "row": row}


def one_hot(out: str, index: str, size: int) -> dict[str, object]:
    """Rows (n, size) of 0 with a 1 at the index (n,). A page blends these rows on a path from one sample to another."""
    return {"step": "one_hot", "out": out, "index": index, "size": size}


def run(graph: str, *inputs: str, out: str) -> dict[str, object]:
    """The first output of a graph."""
    return {"step": "run", "graph": graph, "inputs": list(inputs), "out": out}


def denoise(
    graph: str,
    state: str,
    sigmas: Tensor,
    *inputs: str,
    out: str,
    scale: float = 1.0,
    noise: str | None = None,
    renoise: str | None = None,
    eta: float = 0.0,
    clip: bool = False,
) -> dict[str, object]:
    """The step from noise to a sample, by a graph that takes (y, sigma (n,), *inputs) and gives the denoised estimate.

    Args:
        state: Name of the value that y starts from, times `scale`.
        sigmas: (steps + 1,) falling noise levels, the last one 0.
        inputs: Names of further inputs of the graph.
        scale: See `state`.
        noise: Name of normal numbers that are added to the initial y, at the highest level; None adds none.
        renoise: Name of normal numbers (n, steps - 1, ...), new noise for each step but the last; None adds none.
        eta: Share of new noise, from 0 to 1.
        clip: Whether samples are clipped at -1 and 1.
    """
    names = {"graph": graph, "state": state, "inputs": list(inputs), "noise": noise, "renoise": renoise, "eta": eta}
    return {"step": "denoise", **names, "scale": scale, "sigmas": sigmas.tolist(), "clip": clip, "out": out}
