"""Writing the report: one HTML page that needs nothing beside itself, and the figures as files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import plotly.offline
from markupsafe import Markup, escape

from lowroad.report import tables, text
from lowroad.report.answers import RULE, Answers, Matrix, answer, as_plain
from lowroad.report.figures import figures_of
from lowroad.report.files import save_figures
from lowroad.report.view import View
from lowroad.report.views import Charts, FigureView
from lowroad.study.files import write_atomically
from lowroad.study.study_file import to_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowroad.study.results import StudyResults

__all__ = ["render", "write_report"]

_MOST_NAMED = 6


def write_report(results: StudyResults, directory: Path, style: str = "screen") -> Path:
    """Write the report of a study and return the page's path.

    Writes `report.html`, `answers.json`, the figures as PDF and PNG in `figures/` and, where the
    study names published claims, `claims.json`. Each file appears as a whole or not at all. The
    page holds everything it shows and works without a network. Whatever the study has not computed
    yet is named in the page, not left out silently.

    Args:
        results: What the study has stored; it may be incomplete or empty.
        directory: Where to write; it is made if it is missing.
        style: How the figures' files look: "screen", or "paper" for an article.

    Returns:
        The path of `report.html`.

    Raises:
        OSError: If a file cannot be written.
        ValueError: For another style.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)  # before the work: what cannot be written fails
    view = View(results)
    answers = answer(view)
    save_figures(view, directory / "figures", style)
    _write_json(directory / "answers.json", answers.asked)
    if answers.claims:
        _write_json(directory / "claims.json", answers.claims)
    page = directory / "report.html"
    write_atomically(page, _render(view, answers).encode())
    return page


def _write_json(path: Path, value: object) -> None:
    write_atomically(path, json.dumps(as_plain(value), indent=1, allow_nan=False).encode())


def _render(view: View, answers: Answers) -> str:
    charts = Charts()
    results, published = view.results, answers.published
    solutions = (tables.value_table(view, published), tables.weight_table(view, published))
    return render(
        "report.html.j2",
        charts,
        config=results.config,
        title=_title(view),
        facts=_facts(view),
        published=published,
        findings=answers.findings,
        matrices=answers.matrices,
        choices=_choices(answers.matrices),
        rule=RULE,
        claims=answers.claim_views,
        tally=answers.tally,
        solutions=[table for table in solutions if table is not None],
        sections=_sections(view, charts),
        provenance=_provenance(view),
        kept=tables.kept_table(view),
        settings=to_toml(results.config),
        has_file=_has_file(view),
        missing=results.missing,
        missing_parts=text.missing_parts(view),
        damaged=results.damaged,
    )


def render(template: str, charts: Charts, **content: object) -> str:
    """Return a page from a template, with what it is filled with and its charts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lowroad.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    # `</script>` cannot stand in the library: it would end the element. It does not.
    return environment.get_template(template).render(
        plotly=plotly.offline.get_plotlyjs(), charts=charts.as_json(), **content
    )


def _choices(matrices: Sequence[Matrix]) -> dict[str, list[str]]:
    """What the reader can choose among the matrices, in order of appearance."""
    keys = matrices[0].choice if matrices else ()
    return {key: list(dict.fromkeys(each.choice[key] for each in matrices)) for key in keys}


def _sections(view: View, charts: Charts) -> dict[str, list[FigureView]]:
    """The figures that have something to show, by the headings under which they stand."""
    sections: dict[str, list[FigureView]] = {"Training": []}  # which comes first
    for figure in figures_of(view):
        for shown in figure.build(view, charts):
            sections.setdefault(shown.section, []).append(shown)
    return {name: figures for name, figures in sections.items() if figures}


def _title(view: View) -> str:
    results = view.results
    sources = [each for problem in results.problems for each in results.sources(problem)]
    labels = list(dict.fromkeys(map(results.label, sources)))
    who = text.listing(labels) if len(labels) <= _MOST_NAMED else f"{len(labels)} optimizers"
    where = f" in {text.listing(results.problems)}" if _has_file(view) else ""
    return f"What {who} {'finds' if len(labels) == 1 else 'find'}{where}, and what lies between"


def _has_file(view: View) -> bool:
    """Whether a study file names the problems, so that others can run the study again."""
    return any(each.path != "python:object" for each in view.results.study.problems.values())


def _facts(view: View) -> list[tuple[str, str]]:
    """What was run, as names and values."""
    results = view.results
    problems = [(name, text.problem_facts(view, name)) for name in results.problems]
    facts = [*problems, *text.optimizers(view)]
    if runs := text.runs_trained(view):
        facts.append(("Runs", runs))
    splits = dict.fromkeys(split for problem in results.problems for split in view.splits(problem))
    behind = {split: text.paths_behind(view, split) for split in splits}
    if behind:
        names = {view.on(split).strip(): what for split, what in behind.items()}
        facts += [("Paths", text.by_value(names)), ("Path finder", text.budgets(view))]
    return facts


def _provenance(view: View) -> list[tuple[str, str]]:
    results = view.results
    facts = [(name.capitalize(), value) for name, value in results.provenance.items()]
    facts.append(("Study seed", str(results.config.seed)))
    facts.append(("Computing time of all stored tasks", text.duration(results.seconds)))
    return facts


def _prose(words: str) -> Markup:
    """Text whose names and equations are not broken at the end of a line."""
    kept = re.sub(r" (=|×|±|<) ", "\u00a0\\1\u00a0", str(words))
    whole = r'<span class="whole">\g<0></span>'
    return Markup(
        re.sub(r"\(δ\xa0=\xa0[^ )]+\)|L-BFGS(-GSS)?|−?\d\.\d\de[-+]\d\d", whole, str(escape(kept)))
    )
