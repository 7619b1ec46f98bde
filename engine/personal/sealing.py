"""Frames at rest: encrypted with a key that the system's key store holds. Asks no other kind of key store.

A program's own choice among the backends of `keyring` is not asked for: it may be a file in plain text, nothing at all,
or one on another machine. The four here keep secrets on this machine, behind the user's log-in.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import JitMaskerError

STORES = (  # module, class; of the package keyring
    ("keyring.backends.SecretService", "Keyring"),
    ("keyring.backends.kwallet", "DBusKeyring"),
    ("keyring.backends.macOS", "Keyring"),
    ("keyring.backends.Windows", "WinVaultKeyring"),
)
SERVICE = "jit-masker"
KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12
MAGIC = b"jit-masker sealed 1\n"


class KeyStoreError(JitMaskerError):
    """The key store is there, and gives no key: it is locked, or its user said no."""


@dataclass(frozen=True)
class Seal:
    """Bytes in, bytes for the disk out, and back. Without a key they are as they were."""

    key: bytes | None
    why: str  # encrypted with what, or why not, for people

    def close(self, data: bytes) -> bytes:
        if self.key is None:
            return data
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(NONCE_BYTES)
        return MAGIC + nonce + AESGCM(self.key).encrypt(nonce, data, MAGIC)

    def open(self, data: bytes) -> bytes:
        """ValueError where it was sealed with another key, or damaged."""
        if not is_sealed(data):
            return data
        if self.key is None:
            raise ValueError(f"it is encrypted, and there is no key: {self.why}")
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        begin = len(MAGIC) + NONCE_BYTES
        try:
            return AESGCM(self.key).decrypt(data[len(MAGIC) : begin], data[begin:], MAGIC)
        except (InvalidTag, ValueError) as error:
            raise ValueError("it is damaged, or was encrypted with another key") from error


def is_sealed(data: bytes) -> bool:
    return data.startswith(MAGIC)


def seal_for(folder: Path, make: bool = True) -> Seal:
    """The seal of what lies in `folder`. May wait for its user, whom a key store asks: never call it where pictures are
    painted.

    Parameters
    ----------
    make : a key is made where there is none yet.

    Raises
    ------
    KeyStoreError
        There is a key store, and it gives no key.
    """
    store, why = _key_store()
    if store is None:
        return Seal(None, why)
    name = _name_of(folder)
    try:
        found = store.get_password(SERVICE, name)
        if found is None and make:
            store.set_password(SERVICE, name, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
            found = store.get_password(SERVICE, name)  # of two who make one at once, the key that stayed
        if found is None:
            return Seal(None, f"{why} holds none")
        key = base64.b64decode(found, validate=True)
    except Exception as error:  # each key store has its own
        raise KeyStoreError(f"{why} gives no key: {type(error).__name__}: {error}; unlock it") from error
    if len(key) != KEY_BYTES:
        raise KeyStoreError(f"{why} holds {len(key)} bytes for {name}; expected {KEY_BYTES}: delete that entry")
    return Seal(key, why)


def forget_key(folder: Path) -> bool:
    """Whether there was one. KeyStoreError where it cannot be deleted."""
    store, why = _key_store()
    if store is None:
        return False
    name = _name_of(folder)
    try:
        if store.get_password(SERVICE, name) is None:
            return False
        store.delete_password(SERVICE, name)
    except Exception as error:
        raise KeyStoreError(f"{why} did not delete the key {name} of {SERVICE}: {error}; delete it there") from error
    return True


def _key_store() -> tuple[Any, str]:
    """A key store of this system and what it is called; None and the reason where there is none."""
    reasons = []
    try:
        import cryptography  # noqa: F401 (whether it is there)
    except ImportError:
        return None, 'the package cryptography is not installed: pip install "jit-masker[profile]"'
    for module, name in STORES:
        try:
            kind = getattr(importlib.import_module(module), name)
            kind.priority  # noqa: B018 (it raises where this system has no such store)
            return kind(), f"the key store {module.rpartition('.')[2]}"
        except ImportError as error:
            reasons.append(f"{error.name or error} is not installed")
        except Exception as error:
            reasons.append(f"{module.rpartition('.')[2]}: {str(error) or type(error).__name__}")
    if "keyring is not installed" in reasons:
        return None, 'the package keyring is not installed: pip install "jit-masker[profile]"'
    return None, f"this system has no key store that can be used ({reasons[0]})"


def _name_of(folder: Path) -> str:
    """One key for each folder: JM_HOME may be another one."""
    return f"profile {hashlib.blake2b(str(folder.absolute()).encode(), digest_size=8).hexdigest()}"
