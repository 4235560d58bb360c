"""Line ends: those of Windows (CRLF) and of old Macs (CR) are read as LF, so that a text has one kind."""

from __future__ import annotations


def with_line_feeds(text: str) -> str:
    """The text with LF for each of its line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
