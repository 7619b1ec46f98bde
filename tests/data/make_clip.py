"""Makes person.mp4: `python -m tests.data.make_clip` from the repository's root. Its true masks: `PERSON.mask(i)`."""

from pathlib import Path

from engine.contracts import Picture
from engine.sinks import VideoFile
from engine.sources.synthetic import SyntheticPerson

CLIP = Path(__file__).parent / "person.mp4"
FRAMES = 75  # 3 s
PERSON = SyntheticPerson(width=320, height=240, fps=25, frames=FRAMES, seed=87)  # the seed: see README.md


def main() -> None:
    sink = VideoFile(str(CLIP), PERSON.fps)
    for i in range(FRAMES):
        sink.write(Picture(PERSON.picture(i), None, i, i / PERSON.fps))
    sink.close()


if __name__ == "__main__":
    main()
