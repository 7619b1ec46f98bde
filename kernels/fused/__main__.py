"""python -m kernels.fused: compile the kernels of an ordinary run and keep them, after all other work of this machine.

See kernels/stand_in.py.
"""

from __future__ import annotations

import os
import signal

from . import network, warm, yuv

LOWEST_PRIORITY = 19


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends who paints; this ends soon, and the next start needs it
    if hasattr(os, "nice"):
        os.nice(LOWEST_PRIORITY)
    warm()
    yuv.warm()
    network.warm()


if __name__ == "__main__":
    main()
