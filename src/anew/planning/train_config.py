"""Settings of the training itself, whatever the family."""

from __future__ import annotations

from dataclasses import dataclass

from anew.core.settings import setting


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of the training itself, whatever the family."""

    model_size: int = setting(
        -1,
        "model size: 0 is the smallest, each +1 about doubles the cost of a step; -1: as large as the budget allows",
        low=-1,
        high=12,
    )
    micro_batch: int = setting(
        0,
        "rows of a batch that are processed at once; 0: as many as fit in memory",
        unit="examples",
        low=0,
        high=1_000_000,
    )
    space: str = setting(
        "auto",
        "where the family works: on the data itself (pixels, spectrograms), or on the latents of a codec that is trained first; "
        "auto: on the data itself if the family takes it",
        choices=("auto", "pixel", "latent"),
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:N or mps")
    parallel: str = setting(
        "auto",
        "how several processes share a model: each has all weights (ddp), or a part (fsdp); auto: ddp if memory allows it",
        choices=("auto", "ddp", "fsdp"),
    )
    recompute: str = setting(
        "auto",
        "compute activations again instead of keeping them; auto: if those of one example do not fit in memory",
        choices=("auto", "on", "off"),
    )
    compile: str = setting(
        "auto",
        "train with networks that torch.compile has compiled; auto: if a trial shows that it saves time, in budgets of at "
        "least 10 minutes on a GPU and an hour on a CPU",
        choices=("auto", "on", "off"),
    )
    train_seconds: float = setting(0.0, "time for training alone; 0: what the budget leaves for it", unit="s", low=0.0)
    read_all: bool = setting(
        False,
        "read all items before training, even if that takes more than their share of the budget; `anew compare` always does, so "
        "that all families learn the same items",
    )
    previews: int = setting(4, "number of previews during training", low=0, high=1000)
    timelapse: bool = setting(
        True,
        "keep small frames of the training for the Studio's timelapse, and up to 6 earlier sets of weights: at most 2% of the time",
    )
    checkpoint_seconds: float = setting(
        30.0,
        "time between checkpoints; longer if writing them would take more than a fiftieth of it",
        unit="s",
        low=0.0,
    )
    validation: bool = setting(True, "let held-out validation data choose the weights and begin the decay early")
    evaluate_samples: int = setting(
        1000, "samples that the report measures; up to four times as many if time is left", low=1, high=1_000_000
    )
    tensorboard: bool = setting(False, "write TensorBoard files into the run (needs the extra `track`)")
