"""What several tests of jm-engine do."""

import pytest

from engine.cli import main


@pytest.fixture
def paint(capsys):
    """Runs jm-engine without a teacher; gives its exit code, and what it said on standard error."""

    def call(*arguments):
        code = main(["--teacher", "none", "--threads", "1", *map(str, arguments)])
        return code, capsys.readouterr().err

    return call
