"""A timelapse of the training: every few seconds a small frame of what the model makes of the same inputs, and now and then a
snapshot of its weights, at a bounded cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from anew.core.specs import Tokens
from anew.data.latent_dataset import LatentModality
from anew.families.base import Family
from anew.runs import events, snapshots, timelapse
from anew.training.trainer import StepResult, Trainer
from anew.workflows.job import TrainingJob
from anew.workflows.latents import FEW_ITEMS, fitted_latents, latent_batches
from anew.workflows.timelapse_scenes import Scene, scene_of

# Share of the training time for the timelapse: a frame may cost more than was expected, and 2% is promised.
TIMELAPSE_SHARE = 0.018
# One frame takes at most this share of the training time, so a short training has about ten of them.
FRAME_SHARE = 0.0015
INTERVAL_SECONDS = 2.0  # least time between frames: closer ones look alike; chosen
# Expected cost of the first frame, in training steps: later ones took 0.3 to 4.5 (docs/log.md, 2026-11-26).
STEPS_A_FRAME = 2
# Steps after which processes with sharded weights agree whether a frame is due: each agreement makes them wait.
STEPS_BETWEEN_SYNCS = 10
WEIGHTS_SHARE = 0.5  # keeping weights takes at most this share of the timelapse's time: frames come first; chosen
BYTES_A_SECOND = 100e6  # expected speed of keeping weights, until it was measured: that of a slow disk
MIN_SECONDS = 10.0  # shortest training that has a timelapse: a shorter one has no time for a frame


class Timelapse:
    """Writes frames of a training into `timelapse/`. Called after each step; it never changes the training. trainer: takes its steps."""

    def __init__(self, job: TrainingJob, trainer: Trainer) -> None:
        self.job, self.trainer = job, trainer
        self.cost = 0.0
        self._started = self._framed_at = time.monotonic()
        self._largest_cost = 0.0  # seconds of the frame that took longest
        self._num_steps = 0
        self._scene: Scene | None = None
        self._is_off = not job.train_config.timelapse
        self._seconds_before = 0.0  # spent on training by earlier processes
        self._keeping_cost, self._kept_bytes = 0.0, 0
        self._kept_at = 0.0
        if job.world.is_main and not self._is_off:
            run = job.folder.path
            timelapse.FRAMES.remove_after(run, trainer.step)
            snapshots.WEIGHTS.remove_after(run, trainer.step)
            if trainer.step:
                self._seconds_before = float(events.last_step(run).get("seconds") or 0.0)
            self._kept_at = max((snapshot.seconds for snapshot in snapshots.snapshots(run)), default=0.0)

    def __call__(self, result: StepResult) -> str | None:
        """Add a frame if one is due. Returns None: there is never a warning."""
        world, is_sharded = self.job.world, self.trainer.shard
        if not self.job.train_config.timelapse or (not is_sharded and not world.is_main):
            return None
        now = time.monotonic()
        self._num_steps += 1
        if is_sharded:  # all processes must take part in gathering the weights
            if self._num_steps % STEPS_BETWEEN_SYNCS or not world.broadcast(self._is_due(result, now)):
                return None
        elif not self._is_due(result, now):
            return None
        keeping_before = self._keeping_cost
        with self._family() as family:
            if family is not None:
                self._add(family, result, now)
        self._framed_at = time.monotonic()
        cost = self._framed_at - now
        self._largest_cost = max(self._largest_cost, cost - (self._keeping_cost - keeping_before))
        self.cost += cost
        return None

    def _is_due(self, result: StepResult, now: float) -> bool:
        if self._is_off or now - self._framed_at < INTERVAL_SECONDS:
            return False
        return self._affords_frame(result.progress, now - self._started)

    @contextmanager
    def _family(self) -> Iterator[Family | None]:
        """Within this context, give the family with its averaged weights; None on processes that make no frame."""
        if not self.trainer.shard:
            with self.trainer.averaged() as family:
                yield family
            return
        weights = self.trainer.weights()
        yield self.job.rebuilt(weights) if self.job.world.is_main else None

    def _affords_frame(self, progress: float, elapsed: float) -> bool:
        """Whether one more frame leaves the timelapse within its share of the training so far."""
        # The cost of the first frame is not known; it is about that of a few steps.
        expected = max(self._largest_cost, STEPS_A_FRAME * elapsed / max(1, self._num_steps))
        is_long = self._total_seconds(progress, elapsed) >= MIN_SECONDS
        return is_long and self.cost + expected <= self._allowed(progress, elapsed)

    def _allowed(self, progress: float, elapsed: float) -> float:
        """The seconds that the timelapse may have taken by now."""
        total = self._total_seconds(progress, elapsed)
        # The first frames may borrow from later time: otherwise the beginning would never be seen.
        return TIMELAPSE_SHARE * max(elapsed, min(total, elapsed + total / 10))

    def _total_seconds(self, progress: float, elapsed: float) -> float:
        """The expected seconds of the whole training, including those that have passed."""
        planned = self.job.plan.train_s
        return planned if planned is not None else elapsed / max(progress, 1e-3)

    def _add(self, family: Family, result: StepResult, now: float) -> None:
        """Write the scene at the first call, and a frame at each later one: a scene may read much data, which is costly."""
        run = self.job.folder.path
        if self._scene is None:
            seconds = FRAME_SHARE * self._total_seconds(result.progress, now - self._started)
            self._scene = scene_of(self.job, seconds)
            if self._scene is None:
                self._is_off = True
                return
            arrays, facts = self._scene.fixed()
            timelapse.write(run, timelapse.SCENE, timelapse.serialized(arrays, facts))
            return
        arrays, facts = self._scene.frame(family)
        seconds = round(self._seconds_before + now - self._started, 3)
        data = timelapse.serialized(arrays, {**facts, "step": result.step, "seconds": seconds})
        if len(data) <= timelapse.MAX_FRAME_BYTES:
            timelapse.write(run, timelapse.FRAMES.path(run, result.step).name, data)
        # No view of codes uses earlier weights (`explanation_view` in studio_app/sample_tasks.py).
        has_codes = isinstance(self.job.data.modality, LatentModality) and isinstance(self.job.data.spec, Tokens)
        if seconds >= snapshots.SPACING * self._kept_at and not has_codes:
            self._keep_weights(family, result, now)

    def _keep_weights(self, family: Family, result: StepResult, now: float) -> None:
        """Keep a snapshot of the weights, if there is time for it."""
        begin = time.monotonic()
        elapsed = now - self._started
        buffers = {name for name, _ in family.named_buffers(remove_duplicate=False)}
        weights = {name: tensor for name, tensor in family.state_dict().items() if name not in buffers}
        num_bytes = sum(tensor.nbytes for tensor in weights.values())
        seconds_a_byte = self._keeping_cost / self._kept_bytes if self._kept_bytes else 1 / BYTES_A_SECOND
        expected = num_bytes * seconds_a_byte
        allowed = self._allowed(result.progress, elapsed)
        is_costly = self._keeping_cost + expected > WEIGHTS_SHARE * allowed
        if is_costly or self.cost + (begin - now) + expected > allowed:
            return
        self._kept_at = self._seconds_before + elapsed
        with fitted_latents(family, latent_batches(self.job, FEW_ITEMS)) as fitted:
            snapshots.keep(self.job.folder.path, weights | fitted, result.step, self._kept_at)
        self._keeping_cost += time.monotonic() - begin
        self._kept_bytes += num_bytes
