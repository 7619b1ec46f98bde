"""Options that make no sense, from the command line, the environment or a file: told with exit code 2, nothing opened.

Names and values that do not exist: tests/engine/test_cli.py.
"""

import pytest

from engine.cli import main
from engine.options import Options
from tests.faults.whole_run import arguments

NUMBERS = {
    "--threads", "--fps", "--max-frames", "--seed", "--min-area", "--threshold", "--feather", "--light-wrap",
    "--learning-budget", "--teacher-deadline", "--teacher-bandwidth", "--teacher-side",
    "--camera-fps", "--reconnect", "--keep-frames",
}  # fmt: skip
WHOLE_NUMBERS = {"--threads", "--max-frames", "--seed", "--teacher-side", "--keep-frames"}
NO_LIMIT = {"--learning-budget", "--teacher-bandwidth", "--reconnect"}  # infinity is none
ODD = {"nan", "-inf", "-1e400", "", "0x10", "one", "--", "many digits"}
INFINITE = {"inf", "1e400", "many digits"}


def test_every_option_that_is_a_number_is_tried():
    numeric = {int, float, int | None, float | None}
    fields = {f"--{name.replace('_', '-')}" for name, f in Options.model_fields.items() if f.annotation in numeric}
    assert fields == NUMBERS


@pytest.fixture
def refused(tmp_path, capsys):
    """Asserts that a run with these arguments ends with 2, and writes nothing; returns what it says."""

    def call(*given):
        try:
            code = main(arguments(tmp_path, *given))
        except SystemExit as end:  # argparse's
            code = end.code
        said = capsys.readouterr().err
        assert (code, list(tmp_path.glob("*.mkv")), list(tmp_path.glob("report*"))) == (2, [], []), said
        assert "Traceback" not in said
        return said

    return call


ABSURD = [(o, v) for o in sorted(NUMBERS) for v in sorted(ODD | INFINITE) if not (o in NO_LIMIT and v in INFINITE)]


@pytest.mark.parametrize(("option", "value"), ABSURD)
def test_a_number_that_is_none_is_refused(refused, option, value):
    said = refused(f"{option}={value.replace('many digits', '9' * 5000)}")
    assert f"{option.strip('-').replace('-', ' ')} is " in said.replace("-", " ")
    assert len(said) < 400  # however long the value is


@pytest.mark.parametrize("option", sorted(WHOLE_NUMBERS))
def test_half_of_a_thing_is_refused(refused, option):
    assert f"{option} is '20.5'" in refused(f"{option}=20.5")


@pytest.mark.parametrize("threads", [-1, 0, 257, 20_000, 100_000, 10**400])
def test_threads_that_no_machine_has_are_refused(refused, threads):
    assert "expected 1 to 256" in refused("--threads", threads)


@pytest.mark.parametrize("value", ["nan", "-1", "many"])
def test_the_environment_is_no_way_around(refused, monkeypatch, value):
    monkeypatch.setenv("JM_MIN_AREA", value)
    assert f"--min-area is '{value}'" in refused()


CONFIGS = {
    "is no text": (b"\xff\xfe\x00\x01", "cannot read the options in"),
    "is no TOML": (b"background: beach.jpg\n", "cannot read the options in"),
    "says it twice": (b"threads = 1\nthreads = 2\n", "cannot read the options in"),
    "holds NaN": (b"min_area = nan\n", "--min-area is nan"),
    "holds infinity": (b"threshold = inf\n", "threshold is inf"),
    "holds an unknown option": (b"colour = 3\n", "unknown option 'colour'"),
    "holds a table": (b"[student]\nname = 3\n", "--student is {'name': 3}"),
    "holds a list": (b"weights = ['a', 'b']\n", "--weights is ['a', 'b']"),
    "holds a date": (b"seed = 2020-01-01\n", "--seed is datetime.date"),
    "holds yes for a number": (b"loop = 3\n", "--loop is 3"),
    "holds a number of 5000 digits": (b"seed = " + b"9" * 5000, "cannot read the options in"),
    "nests without end": (b"a = " + b"[" * 5000, "cannot read the options in"),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_a_file_of_options_that_makes_no_sense_is_refused(refused, tmp_path, fault):
    content, message = CONFIGS[fault]
    (tmp_path / "options.toml").write_bytes(content)
    assert message in refused("--config", tmp_path / "options.toml")


def test_a_folder_instead_of_a_file_of_options_is_refused(refused, tmp_path):
    assert "cannot read the options in" in refused("--config", tmp_path)
