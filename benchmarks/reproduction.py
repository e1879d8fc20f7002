"""Write a finished study's numbers as a page and as small tables.

    lowroad run studies/desk.toml --out runs/desk
    python benchmarks/reproduction.py runs/desk docs/reproduction

Writes `runs.csv`, `paths.csv` and so on (a row for each record), `claims.json` (every claim with
its evidence), the report's figures as PNG and `README.md`: the report's tables and figures in
Markdown, and how the numbers were made.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from lowroad.report import tables, text
from lowroad.report.answers import Answers, answer
from lowroad.report.figures import figures_of
from lowroad.report.view import View
from lowroad.report.views import Charts, TableView
from lowroad.study.export import export_csv
from lowroad.study.files import write_atomically
from lowroad.study.results import load_results
from lowroad.study.study_file import to_toml


def markdown(table: TableView) -> str:
    """Return the table, its caption first and its groups' headings in a column of their own."""
    headings = any(group.heading for group in table.groups)
    header = ["", *table.header] if headings else list(table.header)
    rows = [
        [group.heading, *row] if headings else list(row)
        for group in table.groups
        for row in group.rows
    ]
    lines = [header, ["---"] * len(header), *rows]
    return f"{table.caption}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parts(view: View, answers: Answers, pictures: list[str]) -> Iterator[str]:
    """Yield the page's parts; `pictures` receives the names of the figures that it shows."""
    results = view.results
    yield f"# {text.listing(results.problems)}: measured beside the paper"
    counts = {
        name: sum(results.table(name, each).sizes.get(row, 0) for each in results.problems)
        for name, row in (("training", "run"), ("path", "path"), ("sharpness", "point"))
    }
    yield (
        f"{counts['training']} training runs, {counts['path']} paths and the sharpness of "
        f"{counts['sharpness']} points, {results.seconds / 3600:.1f} hours of one core; "
        f"{results.missing} tasks missing. All rows are in the CSV files, the claims in "
        "`claims.json`. The settings, from which `lowroad run` makes the study again:"
    )
    yield f"```toml\n{to_toml(results.config).strip()}\n```"
    yield "## Losses and weights"
    for make in (tables.value_table, tables.weight_table):
        if table := make(view, answers.published):
            yield markdown(table)
    charts = Charts()
    for figure in figures_of(view):
        for shown in figure.build(view, charts):
            yield f"## {shown.title}"
            pictures += shown.files
            yield from (f"![{shown.title}]({name}.png)" for name in shown.files)
            if shown.table:
                yield markdown(shown.table)
    yield "## Claims"
    for claim in answers.claim_views:
        yield f"### {claim.number}. {claim.statement}\n\n**{claim.verdict}**: {claim.measured}"
        yield markdown(claim.table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, help="the directory of a study that has its report")
    parser.add_argument("out", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = load_results(arguments.study)
    view = View(results)
    pictures: list[str] = []
    page = "\n\n".join(parts(view, answer(view), pictures)) + "\n"
    names = ("claims.json", *(f"figures/{name}.png" for name in pictures))
    sources = [arguments.study / name for name in names]
    if missing := [str(source) for source in sources if not source.exists()]:
        parser.error(f"{missing[0]} is not there; run `lowroad report {arguments.study}` first")
    export_csv(results, arguments.out)
    for source in sources:
        shutil.copyfile(source, arguments.out / source.name)
    write_atomically(arguments.out / "README.md", page.encode())
    print(f"Written: {arguments.out / 'README.md'}")


if __name__ == "__main__":
    main()
