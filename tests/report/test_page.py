from __future__ import annotations

import html
import json
import re
import tomllib
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lowroad.report import write_report
from lowroad.study.study_file import parse_study
from report.synthetic import change, make_results


class Outline(HTMLParser):
    """The page's elements, outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if identity := named.get("id"):
            self.ids.append(identity)
        if tag == "a":
            self.links.append(named["href"] or "")
        elif source := named.get("src") or named.get("href"):
            self.loaded.append(source)
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return (written / "report.html").read_text(encoding="utf-8")


def outline(results, directory: Path) -> Outline:
    return Outline(write_report(results, directory).read_text(encoding="utf-8"))


def test_files_are_complete_and_nothing_else_is_left(written, page):
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    figures = {name for name in names if name.startswith("figures/")}
    assert names - figures == {"report.html", "claims.json", "answers.json"}
    assert figures
    for name in figures:
        head = b"%PDF" if name.endswith("pdf") else b"\x89PNG"
        assert (written / name).read_bytes().startswith(head)
    assert figures == {link for link in Outline(page).links if link.startswith("figures/")}


def test_page_needs_nothing_from_elsewhere(page, written):
    found = Outline(page)
    assert found.loaded == ["data:,"]
    inside = {f"#{identity}" for identity in found.ids}
    for link in found.links:
        if link.startswith("#"):
            assert link in inside
        elif not link.startswith("https://arxiv.org/"):
            assert (written / link).is_file()
    assert len(found.ids) == len(set(found.ids))


def test_plotly_is_inlined_once(page):
    assert page.count("* plotly.js v") == 1


def test_headings_descend_one_by_one(page):
    headings = Outline(page).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_boxes_that_scroll_are_called_by_their_tables(page):
    names = re.findall(r'class="scroll" role="region" tabindex="0" aria-label="([^"]*)"', page)
    assert names
    assert "Table" not in names
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_chart_is_there_with_a_text(page):
    keys = re.findall(r'class="chart" id="(chart-\d+)" role="img" aria-label="[^"]{20,}"', page)
    embedded = re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    charts = json.loads(embedded.group(1))
    assert sorted(charts) == sorted(keys)
    assert all(chart["data"] for chart in charts.values())


def test_settings_can_be_run_again(page):
    settings = re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)
    assert settings is not None
    config = make_results(claims="lowroad.paper:claims").config
    assert parse_study(tomllib.loads(html.unescape(settings.group(1)))) == config


def test_answers_and_claims_as_json(written):
    claims = json.loads((written / "claims.json").read_text())
    assert [claim["number"] for claim in claims] == list(range(1, 11))
    assert claims[0]["evidence"][0]["interval"]["estimate"] == 1.0
    answers = json.loads((written / "answers.json").read_text())
    assert answers[0]["question"] == "training_value"
    assert (answers[0]["first"], answers[0]["second"]) == ("sgd/train", "lbfgs/train")
    assert answers[0]["verdict"] == "second lower"
    assert {each["weights"] for each in answers} == {"train", "test"}


def test_published_numbers_stand_beside_the_measured_ones(page, written):
    spaced = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert re.search(r"L-BFGS-GSS train( \S+){4} 6 1\.26e-08", spaced)
    assert "Of 9 published claims, with these runs:" in spaced
    assert "Claim 10 is not of the publication." in spaced


@pytest.mark.usefixtures("no_files")
def test_without_claims_nothing_is_said_of_a_paper(results, tmp_path):
    found = outline(results, tmp_path)
    assert "claims" not in found.ids
    assert "aper" not in found.text
    assert not (tmp_path / "claims.json").exists()


@pytest.mark.filterwarnings("error")
def test_the_same_results_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        write_report(make_results(("a",)), tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        again = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == again.read_bytes(), path.name


@pytest.mark.usefixtures("no_files")
def test_facts_say_what_was_run(results, tmp_path):
    text = outline(results, tmp_path).text
    assert "60 parameters, loss, 5,000 training and 2,000 test samples" in text
    assert "sgd: epochs 20" in text
    assert "8 runs, 6 kept, of each optimizer" in text
    assert "6 paths of each weight set" in text


NOTHING = ("training", "path", "metric", "sharpness")
INCOMPLETE = {
    "nothing": {"without": NOTHING, "missing": 208},
    "only runs": {"without": NOTHING[1:], "missing": 48},
    "one run each": {"seeds": 1, "keep": 1, "pairs": 1, "without": NOTHING[1:], "missing": 47},
    "one optimizer": {"optimizers": ("sgd",), "between": False},
    "no test landscape": {"test": False, "lower_bound": None, "quantity": "energy"},
    "damaged": {"damaged": ("records/ab/<abc>.nc: damaged record: digest",), "missing": 1},
    "eight optimizers": {"problems": ("a",), "optimizers": tuple("abcdefgh"), "pairs": 2},
}


@pytest.mark.parametrize("case", INCOMPLETE)
@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("no_files")
def test_any_study_has_a_page_that_says_what_it_lacks(case, tmp_path):
    incomplete = make_results(**INCOMPLETE[case])
    text = outline(incomplete, tmp_path).text
    if incomplete.missing > 1:
        assert f"{incomplete.missing} of its tasks are not stored yet" in text
    if case == "nothing":
        assert "There is no answer yet" in text
        assert "FCP: 16 of 16 training runs" in text
    if case == "one run each":
        answers = json.loads((tmp_path / "answers.json").read_text())
        assert answers[0]["interval"]["low"] is None  # JSON has no NaN
    if case == "damaged":
        assert "1 damaged record was not used" in text
        assert "records/ab/<abc>.nc: damaged record: digest" in text
    if case == "eight optimizers":
        assert "What 8 optimizers find in a" in text


@pytest.mark.parametrize("others", [0, 1, 6])
@pytest.mark.usefixtures("no_files")
def test_runs_that_end_in_one_point_have_a_page(results, tmp_path, others):
    """As a convex loss from one start has it; all but some runs of the last set."""
    for problem in results.problems:
        last = str(results.sets(problem)[-1])
        for weights in results.sets(problem):
            points = results.vectors[problem, str(weights)]
            points[others if str(weights) == last else 0 :] = 1.0
    assert outline(results, tmp_path).ids
    answers = json.loads((tmp_path / "answers.json").read_text())
    areas = [each["interval"]["estimate"] for each in answers if each["question"] == "kernel"]
    assert set(areas) == {0: set(), 1: {7 / 12}, 6: {1.0}}[others]  # 7/12: (6 + 30 / 2) / 36


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("no_files")
def test_numbers_that_are_not_finite(results, tmp_path):
    def nothing(values):
        return values * np.nan

    for problem in results.problems:
        columns = ("train_values", "test_values", "train_value", "test_value")
        change(results, "training", problem, **dict.fromkeys(columns, nothing))
        change(results, "path", problem, height=nothing, straight_height=lambda v: v * np.inf)
        for weights in results.sets(problem):
            results.vectors[problem, str(weights)] *= np.nan
    assert "0 (+6 not finite)" in outline(results, tmp_path).text


def test_a_directory_that_cannot_be_written_is_refused(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(results, tmp_path / "file")
