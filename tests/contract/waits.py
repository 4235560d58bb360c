"""How often families wait for a device in a training step, and while they draw. A GPU has nothing to do then until the program goes on.

`test_devices.py` runs this in a process that has the device of `limited_device.py`.
"""

from __future__ import annotations

import pytest

import limited_device
from anew.core.registry import family_settings
from anew.core.specs import SampleRequest, Tokens
from contract.test_families import SPECS, cases, labels, ready, training
from tested_device import DEVICE

assert DEVICE.type == limited_device.NAME
# Once for the losses and once for the norm of the gradient, in each phase
OF_EACH_PHASE = 2
# The probability of augmentation, in each of two phases; without 64-bit floats, noise levels are computed on the CPU.
OF_EACH_FAMILY = {"gan": 2, "diffusion": 2}
OF_RECORDS = 4  # positions that count, of rows of different lengths
OF_COMPONENTS = 4  # what is drawn of a mixture is chosen on the CPU, the same on every device


@pytest.mark.parametrize(("family", "spec"), cases())
def test_a_step_reads_losses_and_norms_alone(family: str, spec: str) -> None:
    run = training(ready(family, SPECS[spec]), SPECS[spec])
    steps = iter(run)
    next(steps)
    limited_device.waits.clear()
    next(steps)
    shape = SPECS[spec]
    rows = OF_RECORDS if isinstance(shape, Tokens) and "end" in shape.special else 0
    assert len(limited_device.waits) <= OF_EACH_PHASE * len(run.phases) + OF_EACH_FAMILY.get(family, 0) + rows, (
        "\n".join(limited_device.waits)
    )


def drawn_in_steps() -> list[tuple[str, str]]:
    """Families of grids that draw; texts are drawn token by token, and each is read."""
    return [(f, s) for f, s in cases() if not isinstance(SPECS[s], Tokens) and family_settings(f).generates]


@pytest.mark.parametrize(("family", "spec"), drawn_in_steps())
def test_a_draft_is_drawn_with_at_most_one_read(family: str, spec: str) -> None:
    model = ready(family, SPECS[spec]).eval()
    request = SampleRequest(4, labels(SPECS[spec], 4), None, model.Sampling())
    limited_device.waits.clear()
    drafts = list(model.sample(request, 1))
    assert len(limited_device.waits) <= len(drafts) + OF_COMPONENTS, "\n".join(limited_device.waits)
