"""Context mixing together with the network: many kinds of context, long matches and the document so far; the network is one more
input, weighed at each question of a token's path. If the mixture fails, `fixed_share` turns to the network alone or to the uniform
distribution. How samples are drawn from it is in `drawing/context_drawing.py`.

Legend for shapes: B rows of a batch, L targets of a row, T targets that are read, n samples, V vocabulary, D questions of the
longest path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anew.core.arrays import Doubles, Floats, Int32s, Ints
from anew.core.machine.threads import available_threads, map_in_threads
from anew.core.specs import Batch
from anew.estimators.context_mixing.compilation import compile_loops
from anew.families.transformer.contexts.context_state import FIRST_CAPACITY, MAX_DOCUMENT_TOKENS, ContextState
from anew.families.transformer.counts.fixed_share import PRIOR, SWITCH_RATE, log_of, uniform_distribution
from anew.families.transformer.counts.mixing import softmax
from anew.families.transformer.token_mixer import MAX_FITTED_TARGETS, LogitsOf, NetworkOf, RowState, TokenMixer
from anew.families.transformer.token_sequences import pieces_of, segments_of

if TYPE_CHECKING:
    from anew.estimators.context_mixing.joint import JointWeights
    from anew.estimators.context_mixing.mixer import ContextMixer

FLOAT_BUFFERS = (
    "curves",
    "hits",
    "by_node",
    "by_order",
    "by_last",
    "final",
    "corrections",
    "joint_by_order",
    "joint_by_trust",
    "joint_by_node",
    "joint_by_last",
)
# (G,) probability that each kind of error is accepted in drawing; older runs have none, or not those of kinds that are newer
ACCEPTANCE = "acceptance"
CLASSES = "classes"  # see `ContextMixer`; absent without classes
OTHER_BUFFERS = {
    "text": torch.int32,
    CLASSES: torch.int64,
    "spelling": torch.uint8,
    "spelling_starts": torch.int64,
}


class NetworkPaths(NamedTuple):
    """The network's predictions for the targets of a batch.

    Attributes:
        logits: (B * L, D) log odds of the answer 1 to each question on their paths.
        log_probs: (B * L,) nats.
    """

    logits: Floats
    log_probs: Floats


class ContextHead(TokenMixer):
    """The train part, and what was learned from it, as buffers.

    Args:
        spellings: Bytes of the V tokens; () if they will be restored.
        never_targets: Ids that never follow anything.
    """

    dtypes: Mapping[str, torch.dtype] = {**dict.fromkeys((*FLOAT_BUFFERS, ACCEPTANCE), torch.float32), **OTHER_BUFFERS}

    def __init__(self, spellings: Sequence[bytes], vocab_size: int, never_targets: Collection[int] = ()) -> None:
        super().__init__()
        self.spellings, self.vocab_size = tuple(spellings), vocab_size
        self.uniform = uniform_distribution(vocab_size, never_targets)
        self._mixer: ContextMixer | None = None

    @property
    def is_fitted(self) -> bool:
        return "text" in self._buffers

    @property
    def left_out(self) -> tuple[str, ...]:
        if not self.is_fitted:
            return ()
        counts = "counts of what followed many kinds of context, in the training text and in the text so far"
        errors = "the check that makes new words and unmatched brackets in samples rarer"
        return (counts,) if self.accepted_errors is None else (counts, errors)

    # -- what is fitted -------------------------------------------------------------------------------------------------

    def fit(self, sequences: Sequence[Ints], max_learned: int, classes: Sequence[int] = ()) -> None:
        """Read the train part, and learn from so many of its last tokens; see `ContextMixer.fit`.

        classes: Classes of the sequences; -1 for none."""
        from anew.estimators.context_mixing.mixer import NO_CLASSES, ContextMixer

        compile_loops()  # all of them now, before the time for training is counted
        text = np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int32)
        lengths = np.array([len(ids) for ids in sequences], dtype=np.int64)
        has_classes = len(lengths) == len(classes) > 0 and max(classes) >= 0
        of_text = np.stack((np.cumsum(lengths) - lengths, np.array(classes))) if has_classes else NO_CLASSES
        mixer = ContextMixer.fit(self.spellings, text, max_learned, of_text)
        widths = [len(spelling) for spelling in self.spellings]
        starts = np.concatenate(([0], np.cumsum(widths))).astype(np.int64)
        letters = np.frombuffer(b"".join(self.spellings), np.uint8).copy()
        self.set_buffers({**mixer.arrays(), "spelling": letters, "spelling_starts": starts})
        self._mixer = mixer

    def check(self) -> None:
        if not self.is_fitted:
            return
        from anew.estimators.context_mixing.mixer import initial_joint, initial_parameters

        arrays = self.arrays()
        starts, text = arrays["spelling_starts"], self.get_buffer("text")
        fits = len(starts) == self.vocab_size + 1 and int(starts[0]) == 0 and int(starts[-1]) == len(arrays["spelling"])
        if not fits or bool((np.diff(starts) < 0).any()):
            raise ValueError("the spellings of the tokens are inconsistent")
        if bool((text < 0).any()) or bool((text >= self.vocab_size).any()):
            raise ValueError("the text that was read has other tokens")
        classes = arrays.get(CLASSES)
        if classes is not None and not _are_classes(classes, len(text)):
            raise ValueError("the classes of the text that was read are inconsistent")
        expected = {
            **initial_parameters(self.vocab_size)._asdict(),
            **_with_prefix(initial_joint(self.vocab_size)._asdict()),
        }
        for name, array in expected.items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise ValueError(f"the weights {name} are missing or have another shape")
        if ACCEPTANCE in self._buffers:
            _all_rates(self.get_buffer(ACCEPTANCE).cpu().numpy())

    def clear_cache(self) -> None:
        self._mixer = None

    @property
    def mixer(self) -> ContextMixer:
        if self._mixer is None:
            from anew.estimators.context_mixing.mixer import ContextMixer

            arrays = self.arrays()
            letters, starts = arrays.pop("spelling").tobytes(), arrays.pop("spelling_starts").tolist()
            spellings = [letters[first:stop] for first, stop in pairwise(starts)]
            self._mixer = ContextMixer.restore(spellings, arrays)
        return self._mixer

    def fit_joint(self, batches: Iterable[Batch], logits_of: LogitsOf) -> None:
        """Learn the weights of contexts and network from held-out text; see `ContextMixer.fit_joint`."""
        parts: list[tuple[Int32s, Floats, Floats, Ints]] = []
        for batch in batches:
            segments = list(segments_of(batch))
            if not segments:
                continue
            ids, network = _targets(batch), self._network_paths(batch, logits_of)
            for places, opening, label in segments:
                contexts, orders = self._read_segment(ids[places], opening, label)
                parts.append((ids[places], contexts, network.logits[places], orders))
            if sum(len(part[0]) for part in parts) >= MAX_FITTED_TARGETS:
                break
        if parts:
            mixer = self.mixer
            mixer.fit_joint(*(np.concatenate(column) for column in zip(*parts, strict=True)))
            self.set_buffers(_with_prefix(mixer.joint._asdict()))
            self._mixer = mixer  # it is up to date

    def count_errors(self, opening: int, ids: Int32s) -> Ints:
        """(G,) errors of each kind in a document (T,) that is whole from its beginning: later, brackets close that were opened before.

        opening: The token before it."""
        document = self.mixer.document(len(ids) + 1)
        self.mixer.recall(document, np.array([opening], dtype=np.int32))
        return self.mixer.count_errors(document, ids)

    def accept_errors(self, rates: Floats) -> None:
        """Keep the probabilities (G,) that errors are accepted from now on."""
        mixer = self.mixer
        self.set_buffers({ACCEPTANCE: rates})
        self._mixer = mixer  # it is up to date

    @property
    def accepted_errors(self) -> Floats | None:
        """(G,) probability that each kind of error is accepted; None if all are."""
        if ACCEPTANCE not in self._buffers:
            return None
        accepted = _all_rates(self.get_buffer(ACCEPTANCE).cpu().numpy())
        return accepted if bool((accepted < 1).any()) else None

    # -- many targets at once -------------------------------------------------------------------------------------------

    def log_probs_by_side(self, batch: Batch, logits_of: LogitsOf) -> dict[str, Tensor]:
        ids, network = _targets(batch), self._network_paths(batch, logits_of)
        counted, joint = np.zeros((2, len(ids)))
        for places, opening, label in segments_of(batch):
            contexts, orders = self._read_segment(ids[places], opening, label)
            counted[places] = self._path_log_probs(ids[places], contexts)
            of_network = NetworkPaths(network.logits[places], network.log_probs[places])
            weights = self.mixer.document_joint(), np.array(PRIOR)
            joint[places] = self._shared_log_probs(ids[places], contexts, orders, of_network, weights, opening)
        sides = {"network": network.log_probs.astype(np.float64), "counts": counted, "together": joint}
        return {name: torch.from_numpy(nats).view(len(batch), -1) for name, nats in sides.items()}

    def _network_paths(self, batch: Batch, logits_of: LogitsOf) -> NetworkPaths:
        """Computed on all threads."""

        @torch.inference_mode()
        def of_piece(piece: Batch) -> NetworkPaths:
            targets, log_probs = piece.x[:, 1:].flatten(), logits_of(piece).flatten(0, 1).log_softmax(-1)
            target_log_probs = log_probs.gather(1, targets[:, None])[:, 0].cpu().numpy()
            logits = self.mixer.network_logits(log_probs.exp().cpu().numpy(), targets.cpu().numpy())
            return NetworkPaths(logits, target_log_probs)

        pieces = list(pieces_of(batch))
        workers = min(len(pieces), available_threads()) if batch.x.device.type == "cpu" else 1
        columns = zip(*map_in_threads(of_piece, pieces, workers), strict=True)
        return NetworkPaths(*(np.concatenate(column) for column in columns))

    def _path_log_probs(self, ids: Int32s, logits: Floats) -> Doubles:
        """(T,) nats of tokens (T,) whose answers have these log odds (T, D)."""
        tree = self.mixer.tree
        answers, depth = tree.bits[ids].astype(bool), tree.depth[ids]  # (T, D), (T,)
        signed = np.where(answers, logits, -logits).astype(np.float64)  # (T, D)
        is_asked = np.arange(signed.shape[1]) < depth[:, None]  # (T, D)
        total: Doubles = (-np.logaddexp(0.0, -signed) * is_asked).sum(1)
        return total

    def _read_segment(self, ids: Int32s, opening: int, label: int) -> tuple[Floats, Ints]:
        """(T, D) log odds of each question of tokens (T,) of a class, and (T,) the longest orders that were seen before."""
        mixer = self.mixer
        parts = []
        for first in range(0, len(ids), MAX_DOCUMENT_TOKENS):
            piece = ids[first : first + MAX_DOCUMENT_TOKENS]
            document = mixer.document(len(piece) + 1, label)
            mixer.recall(document, np.array([ids[first - 1] if first else opening], dtype=np.int32))
            parts.append(mixer.read(document, piece))
        logits, orders = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(orders)

    def _shared_log_probs(
        self,
        ids: Int32s,
        contexts: Floats,
        orders: Ints,
        network: NetworkPaths,
        weights: tuple[JointWeights, Doubles],
        opening: int,
    ) -> Doubles:
        """(T,) log-probabilities of tokens with their floor.

        Args:
            ids, contexts, orders: Of tokens that `ContextMixer.read` has read.
            weights: Weights of contexts and network, and (E,) of the experts; both learn from the tokens.
            opening: The token before them.
        """
        from anew.estimators.context_mixing.reading import share_weight

        experts, shared = np.empty((len(ids), len(PRIOR))), np.empty(len(ids))
        experts[:, 0] = self.mixer.log_probs(ids, contexts, network.logits, orders, weights[0], opening)
        experts[:, 1], experts[:, 2] = network.log_probs, log_of(self.uniform)[ids]
        share_weight(experts, weights[1], np.array(PRIOR), SWITCH_RATE, shared)
        return shared

    # -- one step -------------------------------------------------------------------------------------------------------

    def unigram(self) -> Floats:
        return self.mixer.unigram

    def weights_after(self, ids: Ints, logits: Floats, state: RowState) -> Floats:
        assert isinstance(state, ContextState)
        network = softmax(logits)[0]
        mixed = self.mixer.step(state.rows, state.joint, network)
        experts = [mixed, network, self.uniform]
        state.propose(experts)
        return state.share.mix(experts)

    def read_prompt(
        self, ids: Ints, num_known: int, network_of: NetworkOf, adapts: bool = True, labels: Ints | None = None
    ) -> ContextState:
        capacity = max(FIRST_CAPACITY, min(2 * ids.shape[1], MAX_DOCUMENT_TOKENS))
        state = ContextState(self.mixer, len(ids), capacity, adapts, labels)
        ids = ids[:, -MAX_DOCUMENT_TOKENS // 2 :]
        for row in range(len(ids)):
            self._read_prompt_row(ids[row].astype(np.int32), num_known, network_of, state, row)
        state.share.restore_uniform()
        state.mark_counted()
        return state

    def _read_prompt_row(
        self, ids: Int32s, num_known: int, network_of: NetworkOf, state: ContextState, row: int
    ) -> None:
        from anew.estimators.context_mixing.reading import row_of

        document = row_of(state.rows, row)
        num_known = min(num_known, len(ids))
        self.mixer.recall(document, ids[: len(ids) - num_known + 1])
        targets = ids[len(ids) - num_known + 1 :]
        if not len(targets):
            return
        contexts, orders = self.mixer.read(document, targets)
        log_probs = network_of(slice(row, row + 1))[-len(targets) :]
        logits = self.mixer.network_logits(np.exp(log_probs), targets.astype(np.int64))
        network = NetworkPaths(logits, log_probs[np.arange(len(targets)), targets])
        joint = type(state.joint)._make(weights[row] for weights in state.joint)  # not a copy, so that they learn
        opening = int(ids[len(ids) - num_known])
        self._shared_log_probs(targets, contexts, orders, network, (joint, state.share.weights[row]), opening)


def _all_rates(rates: Floats) -> Floats:
    """(G,) those of a run; one of an earlier version accepts all errors of the kinds that it did not know. Raises ValueError."""
    from anew.estimators.context_mixing.error_rates import NUM_ERRORS  # not above: it loads Numba

    if rates.ndim != 1 or len(rates) > NUM_ERRORS or not bool(((rates >= 0) & (rates <= 1)).all()):
        raise ValueError("the probabilities that errors are accepted are inconsistent")
    return np.pad(rates, (0, NUM_ERRORS - len(rates)), constant_values=1.0)


def _are_classes(classes: NDArray[np.generic], num_tokens: int) -> bool:
    """Whether an array may be `ContextMixer.classes` of a text of so many tokens."""
    if classes.ndim != 2 or classes.shape[0] != 2 or not classes.shape[1]:
        return False
    starts, labels = classes.astype(np.int64)
    are_rising = starts[0] == 0 and bool((np.diff(starts) >= 0).all())
    return are_rising and int(starts[-1]) <= num_tokens and bool((labels >= -1).all())


def _targets(batch: Batch) -> Int32s:
    """(B * L,)."""
    targets: Int32s = batch.x[:, 1:].flatten().cpu().numpy().astype(np.int32)
    return targets


def _with_prefix(arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    return {f"joint_{name}": array for name, array in arrays.items()}
