"""jm-bench compare: what counts as a change, and the exit code that guards it."""

import json

import pytest

from benchmarks.cli import main
from benchmarks.compare import interquartile_range, judge, read_metrics
from benchmarks.harness.result import Metric, Result, Table, cell_text, pool, reason
from engine.errors import UsageError


def lower(*values):
    return Metric(values, "lower")


def higher(*values):
    return Metric(values, "higher", "")


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (lower(10, 10, 10), lower(12, 12, 12), "worse"),
        (lower(10, 10, 10), lower(8, 8, 8), "better"),
        (higher(0.9), higher(0.8), "worse"),
        (higher(0.8), higher(0.9), "better"),
        (lower(10, 10, 10), lower(10.4, 10.4, 10.4), "same"),  # within the threshold
        (lower(8, 10, 12, 14), lower(11, 12, 13, 14), "same"),  # 13 % more, and the noise is wider
        (lower(10, 10, 10, 50), lower(10, 10, 10, 10), "same"),  # one outlier moves no median
        (lower(0), lower(0), "same"),
        (lower(0), lower(3), "worse"),
    ],
)
def test_a_change_is_more_than_noise_and_more_than_the_threshold(before, after, word):
    assert judge(before, after, 0.05).word == word


def test_noise_is_the_interquartile_range_of_each():
    verdict = judge(lower(1, 2, 3, 4, 5), lower(3, 3, 3), 0.05)
    assert verdict.noise == (2.0, 0.0)
    assert interquartile_range([7]) == 0.0


MACHINE = {"cpu": "slow", "gpu": None, "cores": 2, "threads": 1}


def result(machine=MACHINE, **values):
    return Result("toy", [], {}, {key: lower(*value) for key, value in values.items()}, machine=machine).json()


@pytest.fixture
def files(tmp_path):
    def write(before, after):
        for name, text in (("a.json", before), ("b.json", after)):
            (tmp_path / name).write_text(text + "\n")
        return [str(tmp_path / "a.json"), str(tmp_path / "b.json")]

    return write


def test_the_exit_code_is_1_where_something_is_worse(files, capsys):
    a, b = files(result(x=[10], y=[10]), result(x=[20], y=[5]))
    assert main(["compare", a, b]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["verdicts"] == {"toy: x": "worse", "toy: y": "better"}
    assert main(["compare", b, a, "--threshold", "200"]) == 0


def test_a_number_that_is_gone_or_new_is_said_and_costs_nothing(files, capsys):
    a, b = files(result(x=[10], old=[1]), result(x=[10], new=[1]))
    assert main(["compare", a, b]) == 0
    text = capsys.readouterr().out
    assert "| toy: old | ms | - | - | - | - | - | gone |" in text
    assert "| toy: new | ms | - | - | - | - | - | new |" in text


def test_a_number_that_should_be_high_is_worse_where_it_falls(files, capsys):
    text = [Result("toy", [], {}, {"IoU": higher(value)}).json() for value in (0.9, 0.5)]
    assert main(["compare", *files(*text)]) == 1
    assert main(["compare", *reversed(files(*text))]) == 0


def test_another_machine_is_said(files, capsys):
    a, b = files(result(x=[10]), result(x=[10]))
    assert main(["compare", a, b]) == 0
    assert "Not the same machine" not in capsys.readouterr().out
    a, b = files(result(x=[10]), result({**MACHINE, "cpu": "fast"}, x=[5]))
    assert main(["compare", a, b]) == 0
    told = "Before: slow, 2 cores, no GPU, 1 thread(s); after: fast, 2 cores, no GPU, 1 thread(s)."
    assert f"Not the same machine: times do not compare. {told}" in capsys.readouterr().out


def test_runs_in_one_file_are_pooled(tmp_path):
    path = tmp_path / "runs.json"
    path.write_text(result(x=[1, 2]) + "\n" + result(x=[3]) + "\n")
    assert read_metrics(path)["toy: x"].values == [1, 2, 3]


def test_what_is_no_result_is_refused(files, tmp_path, capsys):
    a, b = files(result(x=[1]), result(y=[1]))
    assert main(["compare", a, b]) == 2
    assert "no number in common" in capsys.readouterr().err
    with pytest.raises(UsageError, match="cannot read"):
        read_metrics(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"frames": 3}')
    with pytest.raises(UsageError, match="holds no result"):
        read_metrics(tmp_path / "other.json")


def test_several_runs_keep_every_value():
    runs = [Result("toy", [Table("t", ("a",), [(i,)], None)], {}, {"x": lower(float(i))}) for i in range(3)]
    pooled = pool(runs)
    assert pooled.metrics["x"].values == [0.0, 1.0, 2.0]
    assert pooled.tables[0].rows == [(2,)]
    assert "last of 3 runs" in pooled.notes[0]


def test_a_reason_is_one_line_without_the_folders_of_this_machine():
    error = UsageError(
        "cannot get a.onnx:\n  JM_MODELS: /home/me/models/a.onnx is not there\n  https://host.org/b/a.onnx: no"
    )
    assert reason(error) == "cannot get a.onnx: JM_MODELS: a.onnx is not there https://host.org/b/a.onnx: no"


def test_cells_are_written_for_people():
    assert [cell_text(c) for c in (None, 0.12345, 12.345, 123.45, 7, "x")] == ["-", "0.123", "12.35", "123.5", "7", "x"]
