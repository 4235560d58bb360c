"""What the bytes of pictures, sound and film may hold: more is refused by name before it is decoded."""

from __future__ import annotations

IMAGE_BYTES = 1 << 28  # of one file
SAMPLES_A_BYTE = {"FLAC": 65_535 / 10, "MPEG": 1152 / 24, "MP3": 1152 / 24}  # of a frame, at most, by its fewest bytes
ANY_SAMPLES_A_BYTE = 4096.0  # of Ogg (a packet of one byte and its length) and whatever else
CLIPS = 100_000  # that one part of a recording is cut into
GIF_FRAMES = 10_000  # of a GIF that are used: one of its frames is found by going through all before it
GIF_PIXELS = 1 << 34  # of all these together
FILM_PIXELS = 1 << 40  # of other films: 100,000 frames of 4K
