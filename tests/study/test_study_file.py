from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowroad.study.study_file import (
    StudyFileError,
    differences,
    overridden,
    parse_study,
    read_study,
    to_toml,
)

STUDIES = Path(__file__).parents[2] / "studies"


def write(directory: Path, text: str | bytes) -> Path:
    path = directory / "study.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def problems(path: Path, *assignments: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        read_study(path, assignments)
    return list(caught.value.problems)


@pytest.mark.parametrize("name", ["quick", "desk", "paper"])
def test_the_studies_of_the_paper_are_valid(name: str) -> None:
    config = read_study(STUDIES / f"{name}.toml")
    assert config.name == name
    assert set(config.problems) == {"FCP", "LeNet", "Autoencoder", "LSTM"}
    assert config.report.claims == "lowroad.paper:claims"


def test_paper_is_the_paper() -> None:
    """The numbers of Algorithms 1 and 2 and of section III of Yu & Morozov 2026."""
    settings = read_study(STUDIES / "paper.toml").settings("LeNet")
    assert (settings.train.seeds, settings.train.keep, settings.paths.pairs) == (75, 48, 48)
    lbfgs, paths = settings.optimizers["lbfgs"].own, settings.paths.own
    assert (lbfgs["iterations"], lbfgs["history"], lbfgs["budget"]) == (1000, 10, 6)
    assert (lbfgs["line_search"], lbfgs["first_step"]) == ("golden_section", 0.2)
    assert (paths["points"], paths["terms"], paths["steps"]) == (51, 10, 100)
    assert paths["learning_rate"] == 1e-3


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "no.toml"
    assert problems(path) == [f"{path}: cannot be read: No such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path}: expected a study file, got no regular file"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('name = "a"\nseed = = 1\n', 2, "Invalid value"),
        ('name = "a"\nname = "b"\n', 2, "Cannot overwrite a value"),
        ('name = "a', None, "Unterminated string"),
        ('a = "x"\nmethod = sgd # bare\n', 2, 'no value; text needs quotes: write method = "sgd"'),
        ("a.b = torch.optim.Adam\n", 1, 'write a.b = "torch.optim.Adam"'),
        ("within = False\n", 1, "False is no value: write within = false"),
        ("\r\nalign = yes\r\n", 2, "yes is no value: write align = true"),
        ("selections = [train]\n", 1, "Invalid value, in: selections = [train]"),
        ("[train]\nseeds: 3\n", 2, "in: seeds: 3"),
        ("[train]\nseeds = 3\n\n[train]\nkeep = 2\n", 4, "[train] is there twice"),
        ("[a.b]\nx = 1\n[a.c]\n[a.b]\ny = 1\n", 4, "[a.b] is there twice: write the table's"),
        ("p.q = { from = 'm:f' }\np.q.size = 3\n", 2, "p.q has been written whole above"),
        (b"\xff", None, "expected UTF-8 text"),
        ("a = " + "[" * 5000, None, "nested too deeply"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, line: int | None, message: str
) -> None:
    path = write(tmp_path, text)
    (problem,) = problems(path)
    assert problem.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert message in problem
    assert len(problem) < len(str(path)) + 200


def test_a_byte_order_mark_is_no_part_of_the_study(tmp_path: Path) -> None:
    text = (STUDIES / "quick.toml").read_bytes()
    marked = write(tmp_path, b"\xef\xbb\xbf" + text)
    assert read_study(marked) == read_study(STUDIES / "quick.toml")


def test_each_problem_has_the_files_name(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 'x'\n")
    assert problems(path) == [
        f'{path}: name: missing; expected a line such as name = "..."',
        f'{path}: seed: expected a whole number, got "x"',
        f'{path}: problems: missing; expected a line such as problems = "..."',
    ]


BASE = """
name = "a"
problems.p = { from = "m:f", size = 3 }
problems.q = { from = "m:f", train = { seeds = 3, keep = 2 } }
optimizers.sgd = { method = "sgd", epochs = 3 }
optimizers.adam = { method = "torch.optim.Adam", epochs = 3 }
"""


def test_assignments_come_before_the_checks(tmp_path: Path) -> None:
    path = write(tmp_path, BASE + 'train = { seeds = "wrong" }\n')
    config = read_study(
        path,
        [
            "train.seeds=8",
            "train.keep = 4",
            "paths.learning_rate=1e-2",
            'name="b"',
            "problems.p.size=5",
            "problems.q.paths.points=21",
        ],
    )
    assert (config.train.seeds, config.train.keep, config.name) == (8, 4, "b")
    assert config.paths.own == {"learning_rate": 0.01}
    assert config.settings("q").paths.own == {"learning_rate": 0.01, "points": 21}
    assert config.problems["p"].options == {"size": 5}


def test_names_with_dots_are_assigned_to(tmp_path: Path) -> None:
    text = """
        name = "dots"
        [problems."net-0.1"]
        from = "m:f"
        optimizers."sgd.v2" = { epochs = 7 }
        [problems.net-0]
        from = "m:f"
        [optimizers."sgd.v2"]
        method = "sgd"
    """
    assignments = ["problems.net-0.1.size=5", "optimizers.sgd.v2.epochs=3"]
    config = read_study(write(tmp_path, text), assignments)
    assert config.problems["net-0.1"].options == {"size": 5}
    assert config.problems["net-0"].options == {}
    assert config.optimizers["sgd.v2"].own == {"epochs": 3}
    (line,) = overridden(config, assignments)
    assert "--set problems.net-0.1.optimizers.sgd.v2.epochs=... changes it" in line
    assert "net-0.1 keeps its own value, 7" in line


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.seeds", "--set train.seeds: expected KEY=VALUE"),
        ("=3", "--set =3: expected KEY=VALUE"),
        ("train..seeds=3", "--set train..seeds=3: expected KEY=VALUE"),
        (".".join("a" * 100_000) + "=3", "expected KEY=VALUE"),
        ("name.first=3", "--set name.first=3: name is a value, not a table"),
        ("train.seed=3", 'train.seed: no such setting; did you mean "seed"?'),
        ("seed=1\nname=2", 'seed: expected a whole number, got "1\\nname=2"'),
        ("train.seeds=" + "9" * 5000, "train.seeds: expected a whole number"),
        ("analysis.gamma=1e308", "analysis.gamma: expected"),
    ],
)
def test_wrong_assignments(tmp_path: Path, assignment: str, message: str) -> None:
    (problem,) = problems(write(tmp_path, BASE), assignment)
    assert message in problem
    assert len(problem) < 400


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    config = read_study(
        write(tmp_path, BASE), ["analysis.gamma=1e-7", "paths.finders.b.finder=string"]
    )
    text = to_toml(config)
    assert parse_study(tomllib.loads(text)) == config
    # Only the differences are written, so that a changed [train] goes for all problems.
    assert tomllib.loads(text)["problems"]["q"]["train"] == {"seeds": 3, "keep": 2}


def test_all_runs_are_kept_where_there_are_few() -> None:
    base = tomllib.loads(BASE)
    for seeds, kept in ((2, 2), (6, 6), (20, 6)):
        config = parse_study({**base, "train": {"seeds": seeds}})
        assert config.settings("p").train.kept == kept
    name, table = "p", base["problems"]["p"]
    problems = {**base["problems"], name: {**table, "train": {"seeds": 4}}}
    assert parse_study({**base, "problems": problems}).settings(name).train.kept == 4


def test_differences_name_each_changed_setting(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    old = read_study(path)
    assert differences(old, old) == []
    assert differences(old, read_study(path, ["optimizers.sgd.epochs=9", "train.seeds=12"])) == [
        "train.seeds: 10 -> 12",
        "optimizers.sgd.epochs: 3 -> 9",
    ]


WORDS = """
name seed problems optimizers checkpoints from method finder train paths analysis sgd lbfgs seeds
keep epochs batch_size iterations pairs points between steps gamma test grid label version
"""
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=8)
VALUES = (
    st.integers()
    | st.sampled_from([0, 2, 3, 64, "sgd", "1/D", "m:f", ["sgd"], ["sgd", "lbfgs"]])
    | st.floats()
    | st.booleans()
    | st.text(max_size=20)
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_size=8,
)


def toml(value: Any) -> str:
    """Any nested value as TOML, everything inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return str(value).lower()


def check_is_study_or_readable_error(path: Path, *assignments: str) -> None:
    try:
        config = read_study(path, assignments)
    except StudyFileError as error:
        lines = error.problems
    else:
        assert parse_study(tomllib.loads(to_toml(config))) == config
        return
    assert lines
    for line in lines:
        assert line.startswith((str(path), "--set "))
        assert line.isprintable(), line
        assert len(line) < 400


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DOCUMENTS, st.booleans())
def test_any_document_gives_a_study_or_readable_lines(
    tmp_path: Path, document: dict[str, Any], named: bool
) -> None:
    if named:
        document["name"] = "a"
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())
    check_is_study_or_readable_error(write(tmp_path, text.encode("utf-8", "surrogatepass")))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(KEYS, min_size=1, max_size=4).map(".".join) | st.text(max_size=20),
    st.sampled_from(["=", " = ", "", "=="]),
    VALUES.map(toml) | st.text(max_size=20) | st.text('ab=[]{}".,\n1', max_size=20),
)
def test_any_assignment_gives_a_study_or_a_readable_line(
    tmp_path: Path, key: str, equals: str, value: str
) -> None:
    check_is_study_or_readable_error(write(tmp_path, BASE), f"{key}{equals}{value}")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text('ab=[]{}".,\n1', max_size=60).map(str.encode))
def test_any_bytes_give_readable_lines(tmp_path: Path, content: bytes) -> None:
    check_is_study_or_readable_error(write(tmp_path, content))


PAPER = to_toml(read_study(STUDIES / "paper.toml"))
PIECES = st.sampled_from([*PAPER.splitlines(keepends=True), *' =[]{}"\n.#,-e0', *WORDS.split()])


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(PAPER)), st.integers(0, 30), PIECES), min_size=1, max_size=4
    )
)
def test_any_slip_in_a_whole_study_gives_a_study_or_readable_lines(
    tmp_path: Path, slips: list[tuple[int, int, str]]
) -> None:
    """A piece of the text is replaced by another one, once or a few times."""
    text = PAPER
    for start, length, piece in slips:
        text = text[:start] + piece + text[start + length :]
    check_is_study_or_readable_error(write(tmp_path, text))
