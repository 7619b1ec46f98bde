"""What a file says about itself, into another file: tags, chapters, attachments, and what its tracks are called."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

# About the file that was, not about what is in it: of mp4, Matroska's statistics, and what MXF says of its makers.
TECHNICAL = re.compile(
    r"major_brand|minor_version|compatible_brands|encoder|software|duration|timecode|rotate|bps|number_of_\w+|source_id"
    r"|handler_name|vendor_id|language|_statistics.*|\w*uid|\w+_umid|\w+_ul|(product|application|company|toolkit)_\w+"
)
RENAMED = {  # as phones say it, and as everybody does
    "com.apple.quicktime.location.iso6709": "location",
    "com.apple.quicktime.creationdate": "date",
    "com.apple.quicktime.title": "title",
    "com.apple.quicktime.artist": "artist",
    "com.apple.quicktime.comment": "comment",
}
# QuickTime knows languages by their older codes only
MOV_LANGUAGES = {"deu": "ger", "nld": "dut", "ell": "gre", "isl": "ice", "zho": "chi", "fra": "fra", "swe": "sve"}
COVERS = {"mjpeg": "jpg", "png": "png", "webp": "webp"}


def carry_tags(source: Any, output: Any) -> None:
    """Title, date, artist, comment, place and so on."""
    found = {name.lower(): text for name, text in source.metadata.items()}
    for name, text in found.items():
        if not TECHNICAL.fullmatch(name):
            output.metadata.setdefault(RENAMED.get(name, name), text)


def carry_chapters(source: Any, output: Any, begin: Fraction) -> None:
    """Chapters, counted from `begin` (s), where the pictures do."""
    chapters = []
    for number, chapter in enumerate(source.chapters(), 1):
        tick = chapter["time_base"]
        start, end = (max(0, round((chapter[edge] * tick - begin) * 1000)) for edge in ("start", "end"))
        if end > start:
            title = {name: text for name, text in chapter["metadata"].items() if name.lower() == "title"}
            chapters.append(
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": title}
            )
    if chapters:
        output.set_chapters(chapters)


def carry_names(stream: Any, out: Any, format_name: str) -> None:
    """A track's language, title, and whether it is the one that is played unasked."""
    tags = {name.lower(): text for name, text in stream.metadata.items()}
    language, title, handler = tags.get("language", "und"), tags.get("title"), tags.get("handler_name")
    if language != "und":
        out.metadata["language"] = MOV_LANGUAGES.get(language, language) if format_name == "mov" else language
    if handler and handler.endswith("Handler"):  # nobody's choice
        handler = None
    if title or handler:
        # mp4 has no other place for a track's title
        out.metadata["handler_name" if format_name in ("mp4", "mov") else "title"] = title or handler
    out.disposition = stream.disposition


def carry_attachments(source: Any, output: Any, covers: list[tuple[str, bytes]]) -> None:
    """Fonts and other files, and `covers` (codec, content) of those formats that have them as tracks."""
    for stream in source.streams:
        if stream.type == "attachment" and stream.data:
            output.add_attachment(
                stream.name or f"attachment {stream.index}", stream.mimetype or "application/octet-stream", stream.data
            )
    for codec, data in covers:
        output.add_attachment(f"cover.{COVERS[codec]}", f"image/{codec.replace('mjpeg', 'jpeg')}", data)
