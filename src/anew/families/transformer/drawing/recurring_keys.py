"""Key fields in which most samples have a value of a training record, when they are drawn for the first time.

There the values are used up in a way that `find_key_fields` does not see, or the model copies. Drawing all of those samples again would
prefer values in the gaps of the data, and take several times as long.
"""

from __future__ import annotations

from collections.abc import Iterator

from anew.families.base import RequestOf
from anew.families.transformer.config import TransformerSampling
from anew.families.transformer.drawing.sampler import TokenSampler
from anew.families.transformer.parts import TransformerParts

NUM_DRAWN = 64  # samples, which tell a share of 0.35 from one half: more than half are known with a chance of 0.005
MAX_KNOWN = 0.5  # share of samples with a known value up to which they are drawn again
SEED = 2**31 - 1  # not one that users are likely to take


def leave_out_recurring_keys(family: TransformerParts, request_of: RequestOf) -> Iterator[int]:
    """Draw samples, and let all later ones have known values in the key fields in which most of these have one.

    request_of: See `Family.calibrate_drawing`.

    Yields:
        The tokens of each sample drawn so far; the caller may stop, and then all fields stay.
    """
    known = family.known
    if not known.key_fields:
        return
    request = request_of(NUM_DRAWN, SEED)
    sampler = TokenSampler(family, request, request.sampling_as(TransformerSampling), request.sample_keys(SEED))
    for draft in sampler:
        yield draft.shape[1]
    shares = known.known_shares(draft.numpy(), sampler.prompt)
    known.leave_out_fields([field for field, share in shares.items() if share > MAX_KNOWN])
