"""Key stores for tests, each named for what it does; engine.personal.sealing knows them where a test says so."""

import threading

from engine.personal import sealing


class KeyStoreInMemory:
    """Keeps secrets as long as the process lives."""

    priority = 1
    secrets: dict = {}  # noqa: RUF012 (one for all, as a system's is)

    def get_password(self, service, name):
        return self.secrets.get((service, name))

    def set_password(self, service, name, secret):
        self.secrets[service, name] = secret

    def delete_password(self, service, name):
        del self.secrets[service, name]


class LockedKeyStore(KeyStoreInMemory):
    """Its user does not unlock it."""

    def get_password(self, service, name):
        raise RuntimeError("the collection is locked")


class HangingKeyStore(KeyStoreInMemory):
    """Asks its user, who does not answer before `answer` is set."""

    answer = threading.Event()

    def get_password(self, service, name):
        self.answer.wait(60)
        return super().get_password(service, name)


def use(monkeypatch, kind):
    """For this test the system's key store is of this kind; None: it has none."""
    KeyStoreInMemory.secrets.clear()
    HangingKeyStore.answer.clear()
    stores = () if kind is None else ((__name__, kind.__name__),)
    monkeypatch.setattr(sealing, "STORES", stores or (("tests.no_such_module", "Keyring"),))
