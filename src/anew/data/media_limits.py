"""What the bytes of pictures, sound and film may hold: more is refused by name before it is decoded."""

from __future__ import annotations

IMAGE_BYTES = 1 << 28  # of one file
SAMPLES_A_BYTE = {"FLAC": 65_535 / 10, "MPEG": 1152 / 24, "MP3": 1152 / 24}  # of a frame, at most, by its fewest bytes
ANY_SAMPLES_A_BYTE = 4096.0  # of Ogg (a packet of one byte and its length) and whatever else
CLIPS = 100_000  # that one part of a recording is cut into
GIF_PIXELS = 1 << 34  # of all frames together of a GIF, which is decoded from its start: two hours of 320 x 240
FILM_PIXELS = 1 << 40  # of other films: 100,000 frames of 4K
