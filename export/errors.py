"""The errors that weights and graphs raise, and the base of all others; `engine.errors` has the whole tree."""


class JitMaskerError(Exception):
    """Base of the tree; `str(error)` is fit to be shown to a user."""

    exit_code = 1


class UsageError(JitMaskerError):
    """An invalid value: an unknown name, an impossible size, an array of the wrong kind."""

    exit_code = 2


class ModelError(JitMaskerError):
    """Weights or an asset are missing, damaged, or of another shape."""

    exit_code = 5
