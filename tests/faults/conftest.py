"""Whole runs in this process, where the fault can be put into it."""

import pytest

from engine.cli import main
from tests.faults.whole_run import arguments, left


@pytest.fixture
def paint(tmp_path, capsys, caplog):
    """jm-engine on the clip, with these arguments besides: a `Run`."""

    def call(*given, **options):
        code = main(arguments(tmp_path, *given, **options))
        return left(tmp_path, code, "\n".join([*caplog.messages, capsys.readouterr().err]))

    return call
