"""What is wrong with a file that cannot be opened, told from its first bytes. Knows nothing about decoders."""

from __future__ import annotations

from pathlib import Path

from .naming import is_pipe

CONTROLS = bytes(set(range(32)) - set(b"\t\n\f\r\x1b"))  # bytes that text does not have
ARCHIVES = {b"PK\x03\x04": "zip", b"Rar!": "rar", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip"}


def describe_bad_file(path: str | Path, expected: str) -> str:
    """What is wrong with a file that cannot be opened, as far as its first bytes tell, and what to do.

    `expected`: what should have been there, for the end of the sentence.
    """
    if is_pipe(str(path)):  # what it gave is gone, and more may never come
        return (
            f"nothing in it can be read as it comes; expected {expected}, and of a kind that needs no jumping back: "
            "mkv, webm, ts, or an mp4 with its index in front (-movflags +faststart)"
        )
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        return f"{error.strerror}; expected a file that you may read"
    archive = next((name for magic, name in ARCHIVES.items() if head.startswith(magic)), None)
    if not head:
        return f"it is empty; copy or record it again. Expected {expected}"
    if archive:
        return f"it is a {archive} archive; unpack it and give what is inside. Expected {expected}"
    if head[4:8] == b"ftyp":
        return (
            "its index (moov) is missing or damaged: the recording or the copy was cut short; copy it again, or repair "
            f"it with untrunc. Expected {expected}"
        )
    if not any(byte in CONTROLS for byte in head):
        return f"it is text, as a failed download can be; expected {expected}"
    return f"its content is damaged or not known here; expected {expected}"
