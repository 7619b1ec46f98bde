"""What our dependencies tell their makers and leave on the disk, switched off before they are imported.

Imports next to nothing: it runs before everything else, in every process that imports `engine`, `training` or
`benchmarks`. `kernels` and `export` import nothing that has to be switched off.
"""

import os
import sys

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, from its import on: a device id, a database, events to its maker
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray, where it starts a cluster
}


def keep_silent() -> None:
    """Set the switches, for this process and those that it starts, whatever they were.

    Where ONNX Runtime was imported before, that cannot be undone, and is said: it has a device id, and sends what its
    import has queued (the program's path, the machine's processor and system), also after `disable_telemetry_events`.
    """
    talks = "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY", "") in ("", "0")
    os.environ.update(SWITCHES)
    if talks:
        import logging

        sys.modules["onnxruntime"].disable_telemetry_events()
        logging.getLogger("jit_masker").warning(
            "onnxruntime was imported before engine, and reports to its maker; import engine first, or set "
            "ORT_DISABLE_TELEMETRY=1"
        )


def keep_in_cache(variable: str, name: str) -> None:
    """Have a dependency keep its files in our cache, in the folder `name`, unless `variable`, which tells it, is set.

    Where the cache cannot be written the dependency does what it does without us.
    """
    from kernels.ownership import make_folder

    from .assets import cache_folder

    folder = cache_folder().parent / name
    if variable not in os.environ:
        try:
            make_folder(folder)
        except OSError:
            return
        os.environ[variable] = str(folder)


def keep_matplotlib_in_cache() -> None:
    """Before Matplotlib is imported: its list of fonts and its settings, elsewhere in the user's home."""
    keep_in_cache("MPLCONFIGDIR", "matplotlib")


def keep_torch_in_cache() -> None:
    """Before torch makes an optimiser: its compiler, which that imports, else asks who we are and makes a folder."""
    keep_in_cache("TORCHINDUCTOR_CACHE_DIR", "torch")
