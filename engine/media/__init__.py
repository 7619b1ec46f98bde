"""What sources, backgrounds and sinks have in common where they read or write files. Knows nothing about painting.

ffmpeg.py     PyAV, loaded the one way that leaves OpenCV's windows working
naming.py     what is a URL, and what a file of this machine
tracks.py     which tracks of a container can be used
decoding.py   packets to frames, each a whole picture
pictures.py   frames to BGR, and BGR to frames
saying.py     what is said of a file, once
bad_file.py   what is wrong with a file that cannot be opened
stills.py     an image file as an array
heic.py       the tiles of a phone's picture
animation.py  the frames of an animated WebP, PNG or AVIF
whole_file.py a file that is there whole or not at all
"""

import os

MAX_PIXELS = 1 << 27  # of an image, 400 MB: more than a camera's, less than what a small file can unfold to


def bound_images() -> None:
    """Have OpenCV refuse larger images, unless somebody said otherwise; before it is imported."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
