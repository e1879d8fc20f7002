"""Write docs/settings.md, the page of all settings of a study, from the code.

python docs/make_settings.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lowroad.optimizers import lbfgs, sgd
from lowroad.optimizers.line_searches import LINE_SEARCHES, line_search_options
from lowroad.optimizers.method import settings_of
from lowroad.paths.registry import FINDERS, finder_settings
from lowroad.study import settings
from lowroad.study.config import StudyConfig

PAGE = Path(__file__).with_name("settings.md")
SECTIONS = {
    "[problems.NAME]": settings.ProblemSettings,
    "[optimizers.NAME]": settings.OptimizerSettings,
    "[checkpoints.NAME]": settings.CheckpointSettings,
    "[train]": settings.TrainSettings,
    "[paths]": settings.PathSettings,
    "[paths.finders.NAME]": settings.FinderSettings,
    "[planes]": settings.PlaneSettings,
    "[sharpness]": settings.SharpnessSettings,
    "[metrics]": settings.MetricSettings,
    "[analysis]": settings.AnalysisSettings,
    "[report]": settings.ReportSettings,
}
MEANINGS = {
    "gradient_tolerance": "converged when the gradient's largest component is at most this; 0.01 "
    "(eV/Å) where all problems are ASE calculators",
    "step_tolerance": "converged when no component of a step is larger",
    "value_tolerance": "converged when one iteration lowers the value by at most this, relatively",
    "learning_rate": "η.",
    "batch_size": 'samples per mini-batch, or "full".',
    "options": "arguments of the class",
    "scheduler": 'import path of a schedule, such as "torch.optim.lr_scheduler.CosineAnnealingLR"',
    "scheduler_options": "arguments of the schedule",
}
"""Where a study file takes something else than the function in Python."""
TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "table",
    "null": "none",
}
INTRODUCTION = """# Settings of a study

This page is made from the code by `python docs/make_settings.py`. *none* means that the setting may
be left out and then has no value. Above the first section stand `name` (text, required:
letters, digits, `.`, `_` and `-`) and `seed` (whole number, default `{seed}`). A name of a problem,
an optimizer or a table of checkpoints has the same form.

The sections `train`, `paths`, `planes`, `sharpness`, `metrics` and `optimizers` can differ for one
problem: `[problems.NAME.train]`. What is given there is merged into the study's section, key by
key; an optimizer whose `method` differs replaces the study's table of that name.
"""


def type_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return type_text(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        found = [type_text(each, definitions) for each in schema["anyOf"]]
        return " or ".join(each for each in dict.fromkeys(found) if each != "none")
    if "enum" in schema:
        return " or ".join(f'`"{each}"`' for each in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            parts = schema["prefixItems"]
            inner = type_text(parts[0], definitions)
            return f"list of {len(parts)} × {inner}"
        return f"list of {type_text(schema.get('items', {}), definitions)}"
    return TYPES.get(schema.get("type", ""), "text or number")


def bounds(schema: Mapping[str, Any]) -> str:
    """The range of a number, where it has one."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return ""
    return f", {low:,} to {high:,}" if high is not None else f", at least {low:,}"


def value_text(value: Any) -> str:
    """A default as a study file writes it."""
    if value is None:
        return "*none*"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, list | tuple):
        return "`[" + ", ".join(value_text(each).strip("`") for each in value) + "]`"
    if isinstance(value, Mapping):
        return "`{}`" if not value else f"`{dict(value)}`"
    return f"`{value}`"


def table(rows: list[tuple[str, ...]], header: tuple[str, ...]) -> str:
    """Rows as a Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def described(model: type[settings.Settings]) -> str:
    """A section's meaning: what its class says, with names of settings as they are."""
    return re.sub(r"\s*\n\s*(?=\S)", "\n", (model.__doc__ or "").strip())


def of_section(model: type[settings.Settings]) -> str:
    """The settings of a section."""
    schema = model.model_json_schema()
    definitions, required = schema.get("$defs", {}), schema.get("required", ())
    rows = []
    for name, each in schema.get("properties", {}).items():
        default = "required" if name in required else value_text(each.get("default"))
        rows.append((f"`{name}`", type_text(each, definitions) + bounds(each), default))
    return table(rows, ("setting", "type", "default"))


def meanings(*documented: Any) -> dict[str, str]:
    """What the sections Args and Attributes of docstrings say of each name; the first counts."""
    found: dict[str, str] = {}
    for each in documented:
        text = inspect.getdoc(each) if each.__doc__ else None
        for section in re.findall(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)+)", text or "", re.M):
            for names, said in re.findall(r"^    ([\w, ]+): (.*(?:\n {8}.*)*)", section, re.M):
                for name in names.split(", "):
                    found.setdefault(name, " ".join(said.split()).replace("|", "\\|"))
    return found


def defaults(values: Mapping[str, Any], *documented: Any) -> str:
    """Settings with their defaults, and what docstrings say of them."""
    said = meanings(*documented)
    if sgd in documented or lbfgs in documented:
        said |= MEANINGS
    rows = [(f"`{name}`", value_text(value), said.get(name, "")) for name, value in values.items()]
    return table(rows, ("setting", "default", "meaning"))


def parts() -> Iterator[str]:
    """Yield the page's parts."""
    yield INTRODUCTION.format(seed=StudyConfig.model_fields["seed"].default).strip()
    for name, model in SECTIONS.items():
        yield f"## `{name}`"
        yield described(model)
        yield of_section(model)
    yield "# Settings of the optimizers"
    yield "They stand beside `method` in `[optimizers.NAME]`."
    yield '## `method = "sgd"`'
    yield defaults(settings_of("sgd"), sgd)
    yield '## `method = "lbfgs"`'
    of_search = {name for each in LINE_SEARCHES for name in line_search_options(each)}
    common = {name: value for name, value in settings_of("lbfgs").items() if name not in of_search}
    yield defaults(common, lbfgs)
    for name in LINE_SEARCHES:
        yield f'### `line_search = "{name}"`: also'
        yield defaults(line_search_options(name), LINE_SEARCHES[name])
    yield '## A class of torch: `method = "torch.optim.Adam"`'
    yield "The class's own arguments, such as `lr`, stand in `options`."
    yield defaults(settings_of("torch.optim.Adam"), sgd)
    yield '## A function: `method = "module:function"`'
    yield "Its keyword arguments, with the function's own defaults."
    yield "# Settings of the path finders"
    yield "They stand beside `finder` in `[paths]` or `[paths.finders.NAME]`."
    for name in FINDERS:
        yield f'## `finder = "{name}"`'
        yield (FINDERS[name].__doc__ or "").strip().splitlines()[0]
        yield defaults(finder_settings(name), *FINDERS[name].__mro__)


def made() -> str:
    """The page's text."""
    return "\n\n".join(parts()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
