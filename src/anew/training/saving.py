"""Checkpoints while training continues: the state is copied between two steps, and a thread writes the copy."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from anew.core.machine.memory import free_memory
from anew.runs.folder import RunFolder
from anew.runs.shards import SHARDS, write_shards
from anew.runs.state import Checkpoint, CheckpointMeta
from anew.training.distributed import is_sharded
from anew.training.progress import TimeProgress
from anew.training.trainer import Trainer
from anew.training.validation import Validation

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.device_mesh import DeviceMesh

COPIES = 1.5  # a copy is made if memory holds this many more: the copy, and room for what may grow in the meantime


class BackgroundWriter:
    """Does work in a thread, one piece at a time. Errors are raised where the work is waited for."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.processor_seconds = 0.0  # processor time of the last work

    @property
    def is_busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], None]) -> None:
        """Do the work in the background. Earlier work must have been waited for."""
        assert self._thread is None, "earlier work is waited for first"

        def run() -> None:
            begin = time.thread_time()
            try:
                work()
            except BaseException as error:  # any error is raised again by `wait`
                self._error = error
            self.processor_seconds = time.thread_time() - begin

        # A daemon: if it waits for a process that is gone, it must not keep this one from ending.
        self._thread = threading.Thread(target=run, name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the work is done, and raise the error that it raised, if any."""
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error


class CheckpointSaver:
    """Saves the state of a training as checkpoints of its run; the training waits only until the state is copied.

    Args:
        validation: The validation, whose state is a part of checkpoints.
        spent: Returns the seconds of training so far.
        on_saved: Called, on the training's thread, with step and name of a checkpoint once it is completely on the disk.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        validation: Validation | None,
        spent: Callable[[], float],
        say: Callable[[str], None],
        on_saved: Callable[[int, str], None],
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.validation = validation
        self.spent = spent
        self.say = say
        self.on_saved = on_saved
        self.last_name = ""  # name of the checkpoint that was begun last
        self.saved_at = time.monotonic()
        self._writer = BackgroundWriter()
        self._group: ProcessGroup | None = None
        self._host_mesh: DeviceMesh | None = None
        self._copy_seconds = 0.0
        self._in_flight: tuple[int, str] | None = None
        self._given_sentences: set[str] = set()

    @property
    def is_busy(self) -> bool:
        return self._writer.is_busy

    @property
    def cost_seconds(self) -> float:
        """Seconds that the last checkpoint took from the training: the pause, and on a CPU the processor time of the writer."""
        is_shared = self.trainer.world.device.type == "cpu"
        return self._copy_seconds + (self._writer.processor_seconds if is_shared else 0.0)

    def save(self, name: str, *, is_last: bool = False) -> None:
        """Begin a checkpoint of the present state; all processes call this.

        Args:
            is_last: Whether the training is over; then nothing is copied, and this returns when the checkpoint is on the disk.
        """
        self.wait()
        begin = time.monotonic()
        step = self.trainer.step
        write = self._shards_writer(name, is_last) if self.trainer.shard else None
        if write is None:
            write = self._whole_writer(name, is_last)
        self._in_flight = (step, name)
        self.last_name = name
        self._writer.start(write)
        self.saved_at = time.monotonic()
        self._copy_seconds = self.saved_at - begin
        if is_last:
            self.wait()

    def poll(self) -> None:
        """Report a checkpoint that is done, or raise the error that it caused."""
        if self._in_flight is not None and not self._writer.is_busy:
            self.wait()

    def wait(self) -> None:
        """Wait until the checkpoint that was begun is completely on the disk, or raise the error that it caused."""
        in_flight, self._in_flight = self._in_flight, None
        self._writer.wait()
        if in_flight is not None:
            self.on_saved(*in_flight)

    def end(self) -> None:
        """After an error, let the checkpoint that was begun be completed, without raising another error."""
        # With shards, it would wait for the parts of processes that may be gone
        if not self.trainer.shard:
            with contextlib.suppress(Exception):
                self._writer.wait()

    def say_once(self, sentence: str) -> None:
        """Say a sentence to the user, unless it was said before."""
        if sentence not in self._given_sentences:
            self._given_sentences.add(sentence)
            self.say(sentence)

    def buffer_names(self) -> set[str]:
        """The names of tensors of the state that no gradient changes."""
        learned = {f"weights/{n}" for n, _ in self.trainer.family.named_parameters()}
        return {f"weights/{n}" for n, _ in self.trainer.family.named_buffers()} - learned

    # -- what is written ------------------------------------------------------------------------------------------------

    def _meta(self, learned: Checkpoint) -> CheckpointMeta:
        """The `meta` of a checkpoint: numbers of the trainer, the clock and the validation."""
        meta: CheckpointMeta = {**learned["meta"], "spent": self.spent()}
        progress = self.trainer.progress
        if isinstance(progress, TimeProgress) and progress.is_extended:
            meta["length"] = progress.seconds
        if self.validation is not None:
            meta["validation"] = list(self.validation.history)
        return meta

    def _best(self) -> dict[str, Tensor]:
        """The weights that validation keeps. They are never changed in place, so they need no copy."""
        return {} if self.validation is None else self.validation.best_tensors()

    def _whole_writer(self, name: str, is_last: bool) -> Callable[[], None]:
        """The function that writes a checkpoint of whole tensors on the main process, and does nothing on others."""
        trainer = self.trainer
        learned = trainer.live_state()
        best = self._best()
        if trainer.shard:  # all processes are needed to gather
            learned["tensors"], best = trainer.collect(learned["tensors"]), trainer.collect(best)
        if not trainer.world.is_main:
            return _do_nothing
        tensors, ready, is_copied = learned["tensors"], _do_nothing, trainer.collects_on_disk
        if not is_copied and not is_last and self._has_room(tensors.values()):
            (tensors, ready), is_copied = copied(tensors), True
        state: Checkpoint = {"tensors": tensors | best, "meta": self._meta(learned), "buffers": self.buffer_names()}

        def write() -> None:
            ready()
            self.folder.save(name, state)

        return self._run_or_defer(write, is_copied)

    def _shards_writer(self, name: str, is_last: bool) -> Callable[[], None] | None:
        """The function that writes this process's part of a checkpoint.

        Returns None if a process on another machine cannot see the folder.
        """
        world = self.trainer.world
        temporary = self.folder.begin_shards(name) if world.is_main else None
        place = Path(world.broadcast("" if temporary is None else str(temporary.resolve())))
        if world.any(not place.is_dir()):
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            self.say_once("the machines share no disk, so the first process collects whole checkpoints")
            return None
        learned = self.trainer.live_state()
        meta, live = self._meta(learned), learned["tensors"] | self._best()
        is_copied = not is_last and not world.any(not self._has_room(live.values()))
        tensors, ready = copied(live, self._mesh()) if is_copied else (live, _do_nothing)
        group = self._own_group()

        def write() -> None:
            ready()
            write_shards(place / SHARDS, tensors, group)
            if temporary is not None:
                self.folder.finish_shards(name, temporary, meta)

        return self._run_or_defer(write, is_copied)

    @staticmethod
    def _run_or_defer(write: Callable[[], None], later: bool) -> Callable[[], None]:
        if later:
            return write
        write()
        return _do_nothing

    def _mesh(self) -> DeviceMesh:
        """The device mesh of all processes on their CPUs, for copies of shards."""
        if self._host_mesh is None:
            from torch.distributed.device_mesh import init_device_mesh

            self._host_mesh = init_device_mesh("cpu", (self.trainer.world.size,))
        return self._host_mesh

    def _own_group(self) -> ProcessGroup:
        """The process group of the writer, whose messages must not be confused with those of the training."""
        if self._group is None:
            from torch.distributed import new_group

            self._group = new_group(backend="gloo")
        return self._group

    def _has_room(self, tensors: Iterable[Tensor]) -> bool:
        """Whether memory holds a copy. If not, this is reported: the training will wait until the checkpoint is written."""
        size = sum(_local(tensor).nbytes for tensor in tensors)
        if COPIES * size <= free_memory(torch.device("cpu")):
            return True
        self.say_once("memory does not hold a copy of the state, so the training waits for each checkpoint")
        return False


def _do_nothing() -> None:
    pass


def copied(
    tensors: Mapping[str, Tensor], mesh: DeviceMesh | None = None
) -> tuple[dict[str, Tensor], Callable[[], None]]:
    """Copy tensors to the CPU, and return the copies and a function that waits until they are complete.

    A GPU copies them to pinned memory between the work that is queued already and the work that follows, so that nothing has to wait.

    Args:
        tensors: Tensors by name; of sharded ones, this process's part is copied.
        mesh: Device mesh of the processes that share those, on their CPUs.
    """
    has_gpu = any(tensor.device.type == "cuda" for tensor in tensors.values())
    copies = {name: _copied(tensor.detach(), mesh) for name, tensor in tensors.items()}
    if not has_gpu:
        return copies, _do_nothing
    is_copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
    is_copied.record()
    return copies, is_copied.synchronize


def _copied(tensor: Tensor, mesh: DeviceMesh | None) -> Tensor:
    part = _to_host(_local(tensor))
    if mesh is None or not is_sharded(tensor):
        return part
    from torch.distributed.tensor import DTensor

    assert isinstance(tensor, DTensor)
    shape, stride = tensor.shape, tensor.stride()
    return DTensor.from_local(part, mesh, tensor.placements, run_check=False, shape=shape, stride=stride)


def _local(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that this process holds; other tensors as they are."""
    if not is_sharded(tensor):
        return tensor
    from torch.distributed.tensor import DTensor

    assert isinstance(tensor, DTensor)
    return tensor.to_local()


def _to_host(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor.to("cpu", copy=True).contiguous()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)
