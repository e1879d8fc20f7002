from __future__ import annotations

import html
import json
import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lowroad.plotting import loss_curves
from lowroad.report import write_report
from lowroad.report.files import save_figures
from lowroad.report.summary import summarize
from lowroad.study.results import StudyResults
from lowroad.study.study_file import parse_study
from report.synthetic import make_results

FIGURES = [
    "disconnectivity-test",
    "disconnectivity-train",
    "figure-2-S1-curves",
    "figure-3a-surface",
    "figure-3b-profiles",
    "figure-4-heights-train",
    "figure-5-distances",
    "figure-6-kernel-pca",
    "figure-6-kernels",
    "figure-S2-heights-test",
    "figure-S3-distances",
    "figure-S4-kernel-pca",
    "figure-S4-kernels",
    "heights-by-steps-test",
    "heights-by-steps-train",
    "sharpness",
]


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


def test_files_are_complete_and_nothing_else_is_left(written):
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    expected = {f"figures/{name}.{ending}" for name in FIGURES for ending in ("pdf", "png")}
    assert names == expected | {"report.html", "claims.json"}
    for name in FIGURES:
        assert (written / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (written / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_page_needs_nothing_from_elsewhere(page, written):
    outline = Outline(page)
    assert outline.loaded == ["data:,"]
    inside = {f"#{identity}" for identity in outline.ids}
    for link in outline.links:
        if link.startswith("#"):
            assert link in inside
        elif not link.startswith("https://arxiv.org/"):
            assert (written / link).is_file()
    assert len(outline.ids) == len(set(outline.ids))


def test_plotly_is_inlined_once(page):
    assert page.count("* plotly.js v") == 1


def test_headings_descend_one_by_one(page):
    headings = Outline(page).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_tables_stand_beside_the_papers_numbers(page, results):
    outline = Outline(page)
    run_means = np.mean([run.train_height for run in results.kept("FCP", "lbfgs")])
    deviation = np.std([run.train_height for run in results.kept("FCP", "lbfgs")], ddof=1)
    row = f"BFGS train {run_means:.2e} {deviation:.2e} 4 1.26e-08"
    spaced = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert row in spaced
    vectors = results.vectors("LSTM", "sgd_test").astype(np.float64)
    mean = f"{vectors.mean():.2e}".replace("-", "−", 1) if vectors.mean() < 0 else None
    mean = mean or f"{vectors.mean():.2e}"
    assert f"SGD test {mean} 1.16e-02 {vectors.std():.2e} 2.59e-01 4" in spaced
    assert "51 points" in outline.text


def test_how_runs_and_searches_ended_is_said(page):
    text = Outline(page).text
    assert "How the runs ended: 32 × budget spent." in text
    assert text.count("How the searches ended: 80 × budget spent.") == 2


def test_every_chart_is_there_with_a_text(page):
    keys = re.findall(r'class="chart" id="(chart-\d+)" role="img" aria-label="[^"]{20,}"', page)
    embedded = re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)
    assert embedded is not None
    charts = json.loads(embedded.group(1))
    assert list(charts) == keys
    # Curves 8, surface 2, heights, steps and trees 6 × 4, planes 4 × 4, sharpness 4 × 2,
    # distances 2 × 4, kernel PCA 4 × 4.
    assert len(keys) == 8 + 2 + 24 + 16 + 8 + 8 + 16
    assert all(chart["data"] for chart in charts.values())


def test_settings_can_be_run_again(page, results):
    settings = re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)
    assert settings is not None
    assert parse_study(tomllib.loads(html.unescape(settings.group(1)))) == results.config


def test_claims_as_json(written):
    claims = json.loads((written / "claims.json").read_text())
    assert [claim["number"] for claim in claims] == list(range(1, 11))
    assert claims[0]["verdict"] == "holds"
    assert claims[0]["evidence"][0]["interval"]["estimate"] == 1.0
    assert 0 < claims[1]["evidence"][0]["p_value"] < 0.05


@pytest.mark.filterwarnings("error")
def test_one_network_alone_and_the_same_a_second_time(tmp_path):
    results = make_results(networks=("Autoencoder",), gamma=0.01)
    page = write_report(results, tmp_path / "one")
    assert page == tmp_path / "one" / "report.html"
    text = Outline(page.read_text(encoding="utf-8")).text
    assert "not in this study: FCP, LeNet and LSTM" in text
    assert "γ = 0.01" in text
    write_report(results, tmp_path / "two")
    for path in (tmp_path / "one").rglob("*.*"):
        again = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == again.read_bytes(), path.name


def broken(results: StudyResults) -> StudyResults:
    """All losses, points and heights are not finite."""
    return replace(
        results,
        trainings=[
            replace(
                run,
                train_heights=run.train_heights * np.nan,
                test_heights=run.test_heights * np.inf,
                train_height=np.nan,
                test_height=np.nan,
                train_point=run.train_point * np.nan,
                test_point=run.test_point * np.inf,
            )
            for run in results.trainings
        ],
        paths=[replace(path, height=np.nan, straight_height=np.inf) for path in results.paths],
    )


def test_accuracy_sharpness_and_heights_by_steps_are_said_in_numbers(page, results):
    spaced = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    values = np.array([run.test_point_accuracy for run in results.kept("FCP", "sgd")])
    shares = [values.mean(), values.std(ddof=1), values.min(), values.max()]
    assert f"SGD test {' '.join(f'{share:.2%}' for share in shares)} 4" in spaced
    largest = [e.eigenvalues[0] for e in results.sharpness if e.weights == "lbfgs_train"][:3]
    numbers = [np.median(largest), min(largest), max(largest)]
    assert f"BFGS train 3 {' '.join(f'{number:#.3g}' for number in numbers)} " in spaced
    assert "1.00 [1.00, 1.00], p = 0.100 for test weights of LSTM" in spaced
    # the synthetic paths fall by a constant factor each step, by sqrt(10) in the second half
    fall = f"{1 - 10**-0.5:.3f}"
    assert spaced.count(f"median share {fall} [{fall}, {fall}]") == 2 * 16
    climbs = [
        path.height - max(path.profile[0], path.profile[-1])
        for path in results.paths
        if (path.network, path.weights, path.landscape) == ("FCP", "sgd_train", "train")
    ]
    assert re.search(rf"SGD train( \S+){{4}} {np.median(climbs):#.3g} 0", spaced)


def test_paths_that_are_highest_at_an_end_are_counted_in_the_caption(
    results, tmp_path, monkeypatch
):
    monkeypatch.setattr("lowroad.report.page.save_figures", lambda *_: [])
    level = [
        replace(path, profile=np.full_like(path.profile, path.height))
        if (path.network, path.landscape, path.weights) == ("FCP", "test", "sgd_train")
        else path
        for path in results.paths
    ]
    outline = Outline(write_report(replace(results, paths=level), tmp_path).read_text("utf-8"))
    assert "its height, and no barrier: 5 paths in FCP." in outline.text


def test_the_papers_style_is_in_the_files(results, tmp_path, monkeypatch):
    def one(summary):
        return {"curves": loss_curves({n.name: n.runs for n in summary.networks})}

    monkeypatch.setattr("lowroad.report.files._figures", one)
    summary = summarize(results)
    for style, font in (("screen", b"DejaVuSans"), ("paper", b"STIXGeneral")):
        pdf, png = save_figures(summary, tmp_path / style, style)
        assert font in pdf.read_bytes()
        assert png.stat().st_size > 0
    assert (tmp_path / "screen" / "curves.pdf").read_bytes().find(b"STIX") == -1


def test_without_measurements_their_figures_are_left_out(results, tmp_path, monkeypatch):
    monkeypatch.setattr("lowroad.report.page.save_figures", lambda *_: [])
    bare = replace(
        results, sharpness=(), paths=[replace(path, plane=None) for path in results.paths]
    )
    outline = Outline(write_report(bare, tmp_path).read_text(encoding="utf-8"))
    assert not {"planes", "sharpness"} & set(outline.ids)
    assert "the sharpness of 12 of 12 points" in outline.text


INCOMPLETE = {
    "nothing": lambda r: replace(r, trainings=[], paths=[], missing=208, provenance={}),
    "one run": lambda r: replace(r, trainings=r.trainings[:1], paths=[], missing=207),
    "one run each": lambda r: replace(
        r, trainings=[run for run in r.trainings if run.seed == 0], paths=[], missing=190
    ),
    "no paths": lambda r: replace(r, paths=[], missing=160),
    "one path": lambda r: replace(r, paths=r.paths[:1], missing=159),
    "SGD alone": lambda r: replace(
        r, trainings=[run for run in r.trainings if run.optimizer == "sgd"], paths=[], missing=184
    ),
    "nothing finite": broken,
    "damaged": lambda r: replace(r, damaged=("records/ab/<abc>.nc: damaged record: digest",)),
}


@pytest.mark.usefixtures("quick_surface")
@pytest.mark.parametrize("case", INCOMPLETE)
@pytest.mark.filterwarnings("error")
def test_incomplete_studies_have_a_page_that_says_so(case, results, tmp_path, monkeypatch):
    # Drawing the files takes most of the time; two cases and one network stand for all.
    if case in ("nothing", "nothing finite"):
        results = make_results(networks=("LSTM",))
    else:
        monkeypatch.setattr("lowroad.report.page.save_figures", lambda *_: [])
    incomplete = INCOMPLETE[case](results)
    text = Outline(write_report(incomplete, tmp_path).read_text(encoding="utf-8")).text
    if incomplete.missing:
        assert f"{incomplete.missing} of its tasks are not stored yet" in text
        assert "LSTM: " in text
    if case == "damaged":
        assert "1 damaged record was not used" in text
        assert "records/ab/<abc>.nc: damaged record: digest" in text
    if case == "one run each":
        claims = json.loads((tmp_path / "claims.json").read_text())
        assert claims[0]["evidence"][0]["interval"]["low"] is None  # JSON has no NaN
    if case == "nothing":
        assert "There is no answer yet" in text
        assert "No finished run yet." in text
    if case == "nothing finite":
        assert "No finite loss." in text
        assert "(+4 not finite)" in text


def test_a_directory_that_cannot_be_written_is_refused(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_report(results, tmp_path / "file")
