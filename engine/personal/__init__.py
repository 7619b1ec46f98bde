"""A personal profile: frames of this camera that the user agreed to keep, and the start student that they taught.

    sealing.py   the system's key store, and frames encrypted with its key
    frame.py     one kept frame and its label, as values and as bytes
    store.py     the folder they lie in: consent, a fair sample of weeks, forgetting
    start.py     the profile itself: which student begins
    command.py   jm-engine profile

Nothing is kept unless it was asked for. What lies on disk, and who could read it: docs/profile.md.
"""
