"""A study's configuration: frozen settings, as a study file says them.

What needs no import of a problem, an optimizer or PyTorch is checked here; the rest (options of
problems, settings of optimizers and path finders) is checked by `lowroad.study.resolve`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from lowroad.study.labels import SELECTIONS, SetPair, WeightSet
from lowroad.study.setting_errors import setting_errors
from lowroad.study.settings import (
    LABEL,
    SECTIONS,
    AnalysisSettings,
    CheckpointSettings,
    Label,
    MetricSettings,
    OptimizerSettings,
    PathSettings,
    PlaneSettings,
    ProblemSettings,
    ReportSettings,
    Settings,
    SharpnessSettings,
    TrainSettings,
)

MOST_SOURCES = 8


class ProblemStudy(Settings):
    """What holds for one problem: the study's sections with those of the problem merged in."""

    train: TrainSettings = TrainSettings()
    paths: PathSettings = PathSettings()
    planes: PlaneSettings = PlaneSettings()
    sharpness: SharpnessSettings = SharpnessSettings()
    metrics: MetricSettings = MetricSettings()
    optimizers: dict[Label, OptimizerSettings] = Field(default_factory=dict)


class StudyConfig(ProblemStudy):
    """A whole study.

    >>> config = StudyConfig.model_validate({
    ...     "name": "tiny",
    ...     "problems": {"a": {"from": "lowroad.problems:lennard_jones", "train": {"seeds": 60}}},
    ...     "optimizers": {"lbfgs": {"method": "lbfgs"}},
    ... })
    >>> config.settings("a").train.seeds, config.train.seeds
    (60, 10)
    """

    name: str = Field(max_length=100, pattern=LABEL)
    seed: int = Field(default=0, ge=0, lt=2**63)
    problems: Annotated[dict[Label, ProblemSettings], Field(min_length=1)]
    checkpoints: dict[Label, CheckpointSettings] = Field(default_factory=dict)
    analysis: AnalysisSettings = AnalysisSettings()
    report: ReportSettings = ReportSettings()
    _resolved: dict[str, ProblemStudy] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _merge_sections(self) -> StudyConfig:
        base = self.model_dump(mode="json", include=set(SECTIONS), exclude_none=True)
        for name, problem in self.problems.items():
            own = {key: problem.own[key] for key in SECTIONS if key in problem.own}
            try:
                held = _Merged.model_validate({"problems": {name: merged(base, own)}})
            except ValidationError as error:
                raise ValueError("\n".join(setting_errors(error, StudyConfig))) from None
            self._resolved[name] = held.problems[name]
        found = list(dict.fromkeys(_conflicts(self)))
        if found:
            raise ValueError("\n".join(found))
        return self

    def settings(self, problem: str) -> ProblemStudy:
        """Settings that hold for a problem."""
        return self._resolved[problem]

    def label(self, source: str) -> str:
        """What an optimizer or a table of checkpoints is called for people."""
        if source in self.checkpoints:
            return self.checkpoints[source].label or source
        tables = [self.optimizers, *(each.optimizers for each in self._resolved.values())]
        for table in tables:
            if source in table and table[source].label:
                return table[source].label or source
        return source

    def optimizers_of(self, problem: str) -> dict[str, OptimizerSettings]:
        """The optimizers that a problem is trained with, by name."""
        settings = self.settings(problem)
        chosen = settings.train.optimizers
        if chosen is None:
            return settings.optimizers
        return {name: settings.optimizers[name] for name in chosen}

    def checkpoints_of(self, problem: str) -> dict[str, CheckpointSettings]:
        """The tables of checkpoints of a problem, by name."""
        return {name: each for name, each in self.checkpoints.items() if each.problem == problem}

    def sources(self, problem: str) -> tuple[str, ...]:
        """Names of the problem's optimizers and tables of checkpoints, in the file's order."""
        return (*self.optimizers_of(problem), *self.checkpoints_of(problem))

    def sets(self, problem: str, splits: Iterable[str], validation: bool) -> tuple[WeightSet, ...]:
        """All weight sets of a problem whose landscapes are `splits`."""
        selections = self.selections(problem, splits, validation)
        return tuple(
            WeightSet(source, selection)
            for source in self.sources(problem)
            for selection in (selections if source not in self.checkpoints else ("",))
        )

    def selections(self, problem: str, splits: Iterable[str], validation: bool) -> tuple[str, ...]:
        """How points of a problem's runs are chosen; ("",) where each has one point."""
        held_out = "validation" if validation else "test" if "test" in splits else None
        asked = self.settings(problem).train.selections
        found = [held_out if name == "test" else name for name in asked]
        kept = tuple(dict.fromkeys(name for name in found if name))
        return kept if len(kept) > 1 or "last" in kept else ("",)

    def set_pairs(self, problem: str, sets: tuple[WeightSet, ...]) -> tuple[SetPair, ...]:
        """Pairs of weight sets that paths connect: each with itself, then those of `between`."""
        paths = self.settings(problem).paths
        within = [SetPair(each, each) for each in sets] if paths.within else []
        between = [pair for names in paths.between for pair in like_with_like(names, sets)]
        return tuple(dict.fromkeys(within + between))


class _Merged(Settings):
    """Merged settings of problems, so that errors name their place."""

    problems: dict[str, ProblemStudy]


def like_with_like(names: tuple[str, str], sets: tuple[WeightSet, ...]) -> list[SetPair]:
    """Pairs of weight sets that two names mean; empty where a name is of none of the sets.

    Two sources are paired selection by selection; a source with one point a run is paired with
    every selection of the other.

    >>> sets = tuple(WeightSet(s, k) for s in ("a", "b") for k in ("train", "test"))
    >>> [str(pair.second) for pair in like_with_like(("a", "b"), sets)]
    ['b/train', 'b/test']
    >>> [str(pair.second) for pair in like_with_like(("a/train", "b/test"), sets)]
    ['b/test']
    """
    first, second = ([each for each in sets if name in (str(each), each.source)] for name in names)
    pairs = [
        SetPair(one, two)
        for one in first
        for two in second
        if one.selection == two.selection
        or "" in (one.selection, two.selection)
        or len(first) == len(second) == 1
    ]
    return [pair for pair in pairs if not pair.within]


def _conflicts(config: StudyConfig) -> Iterable[str]:
    """Settings that are each allowed but do not fit together."""
    for name in config.checkpoints:
        if config.checkpoints[name].problem not in config.problems:
            yield (
                f"checkpoints.{name}.problem: expected one of {', '.join(config.problems)}, got "
                f'"{config.checkpoints[name].problem}"'
            )
    unknown = list(_unknown_optimizers(config))
    if unknown:  # nothing can be asked of such a study
        yield from unknown
        return
    for problem in config.problems:
        yield from _conflicts_of(config, problem)
    labels: dict[str, str] = {}
    names = {source: None for problem in config.problems for source in config.sources(problem)}
    if len(names) > MOST_SOURCES:
        yield (
            f"expected at most {MOST_SOURCES} optimizers and checkpoint tables (a reader cannot "
            f"tell more apart in a figure), got {len(names)}: make several studies of them"
        )
    for source in names:
        label = config.label(source)
        if label in labels:
            yield f'two sets are called "{label}": {labels[label]} and {source}; rename one'
        labels[label] = source


def _unknown_optimizers(config: StudyConfig) -> Iterable[str]:
    for problem, table in config.problems.items():
        settings = config.settings(problem)
        place = f"problems.{problem}." if "train" in table.sections else ""
        for name in settings.train.optimizers or ():
            if name not in settings.optimizers:
                yield (
                    f'{place}train.optimizers: no optimizer is called "{name}"; there are '
                    f"{', '.join(settings.optimizers) or 'none'}"
                )


def _conflicts_of(config: StudyConfig, problem: str) -> Iterable[str]:
    settings, place = config.settings(problem), f"problems.{problem}."
    train, own = settings.train, config.problems[problem].sections

    def at(section: str, key: str) -> str:
        return f"{place if section in own else ''}{section}.{key}"

    if train.kept > train.seeds:
        yield (
            f"{at('train', 'keep')}: expected at most train.seeds = {train.seeds} (one cannot keep "
            f"more runs than there are), got {train.kept}"
        )
    for name in settings.optimizers:
        if name in config.checkpoints:
            yield f"checkpoints.{name}: an optimizer has the same name; rename one of them"
    if not config.sources(problem):
        yield (
            f"problems.{problem}: there is nothing to study; expected a table such as "
            f'[optimizers.sgd] with method = "sgd", or [checkpoints.NAME]'
        )
    known = {*config.sources(problem)}
    every = {*known, *(f"{name}/{kind}" for name in known for kind in SELECTIONS)}
    elsewhere = {name for other in config.problems for name in config.sources(other)}
    for section, pairs in (("paths", settings.paths.between), ("report", config.report.pairs)):
        key = "between" if section == "paths" else "pairs"
        for pair in pairs:
            for name in pair:
                if name not in every and name.partition("/")[0] not in elsewhere:
                    yield (
                        f'{at(section, key)}: no weight set is called "{name}"; there are '
                        f"{', '.join(sorted(known)) or 'none'}"
                    )
            if pair[0] == pair[1]:
                yield f'{at(section, key)}: expected two different sets, got "{pair[0]}" twice'
    if settings.planes.pairs > settings.paths.pairs:
        yield (
            f"{at('planes', 'pairs')}: expected at most paths.pairs = {settings.paths.pairs} (a "
            f"plane goes through a path's peak), got {settings.planes.pairs}"
        )
    if settings.sharpness.runs > train.kept:
        yield (
            f"{at('sharpness', 'runs')}: expected at most train.keep = {train.kept}, got "
            f"{settings.sharpness.runs}"
        )


def merged(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """`table` over `base`, table by table.

    A table with another `method` replaces; one with another `finder` drops the old one's settings.

    >>> merged({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}}
    >>> merged({"a": {"method": "sgd", "epochs": 2}}, {"a": {"method": "lbfgs"}})
    {'a': {'method': 'lbfgs'}}
    """
    result = dict(base)
    for key, value in table.items():
        below = result.get(key)
        tables = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = _merged_table(below, value) if tables else value  # type: ignore[arg-type]
    return result


def _merged_table(base: Mapping[str, Any], table: Mapping[str, Any]) -> Mapping[str, Any]:
    if table.get("method", base.get("method")) != base.get("method"):
        return table
    if table.get("finder", base.get("finder")) != base.get("finder"):
        base = {name: each for name, each in base.items() if name in PathSettings.model_fields}
    return merged(base, table)
