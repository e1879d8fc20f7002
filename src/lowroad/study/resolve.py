"""From a study file to a study that can be run: everything that it names is found and checked.

Problems are made once here, optimizers and path finders get their defaults, checkpoints their
digests. What is found is kept in ``DIR/problems.json``, so that status, report and export need
neither PyTorch nor the study's own modules.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from glob import glob
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lowroad.nearest import nearest
from lowroad.seeds import derived_seed
from lowroad.study.config import StudyConfig
from lowroad.study.references import (
    Facts,
    ProblemReference,
    claims_of,
    make_problem,
    note_import,
    resolve_problem,
    see_folder,
)
from lowroad.study.resolved import INITIAL, CheckpointFile, Study, combinations
from lowroad.study.settings import CheckpointSettings
from lowroad.study.study_file import StudyFileError, document, parse_study
from lowroad.study.tasks import canonical_json
from lowroad.study.user_errors import UserCodeError, is_users

MOST_STARTS = 1000
"""How many starts are drawn before the first task, to see that they are finite."""


def resolve_study(config: StudyConfig, folder: Path | None, known: Study | None = None) -> Study:
    """Find and check everything that a study names, before its first task.

    Args:
        config: the study as its file says it.
        folder: the study file's folder, from which modules are imported.
        known: the study as it was resolved before; problems of the same source are not made again
            where the study's seed is the same.

    Raises:
        StudyFileError: with one line for each problem, optimizer, finder or file that cannot be
            used, beginning with its place in the study file.
        UserCodeError: a module of the study's folder raised.
    """
    see_folder(folder)
    found: list[str] = []
    problems: dict[str, ProblemReference] = {}
    facts: dict[str, Facts] = {}
    for name, settings in config.problems.items():
        try:
            path, options = settings.from_, _checked_options(settings.from_, settings.options)
            code = settings.version or note_import(path, folder)
            problems[name] = ProblemReference(name, path, canonical_json(options), code)
            if (
                known is not None
                and known.problems.get(name) == problems[name]
                and known.facts[name].seed == config.seed
            ):
                facts[name] = known.facts[name]
            else:
                made = make_problem(problems[name], folder)
                starts = min(config.settings(name).train.seeds, MOST_STARTS)
                facts[name] = examine(made, name, config.seed, starts)
                found += [f"problems.{name}: {line}" for line in _no_numbers(made)]
        except StudyFileError as error:
            found += [f"problems.{name}.{line}" for line in error.problems]
        except (Exception, SystemExit) as error:
            if folder is not None and is_users(error, folder):
                raise UserCodeError(f"problems.{name}", error, folder) from error
            found.append(f"problems.{name}: {_first_line(error)}")
    config, more, codes = _with_defaults(config, folder, facts)
    found += more
    if config.report.claims is not None:
        try:
            claims_of(config.report.claims, folder)
        except StudyFileError as error:
            found += error.problems
    files = {}
    for name, table in config.checkpoints.items():
        files[name] = _files(table.files, folder)
        if not files[name]:
            found.append(
                f"checkpoints.{name}.files: no file matches {table.files!r} in {folder or '.'}"
            )
        if table.problem in facts:
            before = () if known is None else known.files.get(name, ())
            new = [file for file in files[name] if file not in before]
            reference = problems[table.problem]
            found += [
                f"checkpoints.{name}: {line}" for line in _unfit(new, table, reference, folder)
            ]
    if found:
        raise StudyFileError(list(dict.fromkeys(found)))
    study = Study(config, folder, problems, facts, codes, files)
    found = list(dict.fromkeys([*misfits(study), *_failing(study, known)]))
    if found:
        raise StudyFileError(found)
    return study


def _where_not_finite(landscape: Any) -> str:
    """The samples of a network's data that are not finite, as the end of a message."""
    try:
        parts = {"inputs": landscape.inputs, "targets": landscape.targets}
    except (AttributeError, TypeError):
        return ""
    for name, part in parts.items():
        rows = (~part.isfinite()).reshape(len(part), -1).any(1).nonzero().flatten().tolist()
        if rows:
            return (
                f": the {name} of {len(rows)} of {len(part)} training samples are not finite, the "
                f"first of them those of sample {rows[0]}"
            )
    return ""


def examine(problem: Any, name: str, seed: int, starts: int = 1) -> Facts:
    """Take a problem's fingerprint at its first start, and what reports say of it.

    All of the given number of starts are drawn once, to see that they are finite and fit.

    Raises:
        ValueError: when the start or the value there is not finite or of another dimension.
    """
    import torch

    from lowroad.landscapes import NetworkLandscape
    from lowroad.optimizers.result import checked_start

    generator = torch.Generator().manual_seed(derived_seed(seed, name, INITIAL, 0))
    start = problem.start(generator)
    landscape = problem.train
    checked_start(landscape, start)
    began = time.perf_counter()
    value = landscape.value(start)
    middle = time.perf_counter()
    landscape.value_and_gradient(start)
    end = time.perf_counter()
    if not math.isfinite(value):
        raise ValueError(
            f"expected a finite value at the first start, got {value}{_where_not_finite(landscape)}"
        )
    for number in range(1, starts):
        generator.manual_seed(derived_seed(seed, name, INITIAL, number))
        try:
            checked_start(landscape, problem.start(generator))
        except (ValueError, TypeError) as error:
            raise type(error)(f"start of seed {number}: {error}") from error
    return Facts(
        seed=seed,
        dimension=landscape.dimension,
        dtype=str(landscape.dtype),
        start_norm=float(start.double().norm()),
        start_value=value,
        quantity=problem.quantity,
        unit=problem.unit,
        lower_bound=problem.lower_bound,
        splits=problem.splits,
        samples={split: problem.landscape(split).samples for split in problem.splits},
        metrics=tuple(problem.metrics),
        validation=problem.validation is not None,
        aligns=problem.align is not None,
        merges=problem.same is not None,
        free_gradients=landscape.free_gradients,
        gradient_tolerance=landscape.gradient_tolerance,
        network=isinstance(landscape, NetworkLandscape),
        value_seconds=middle - began,
        gradient_seconds=end - middle,
    )


def _no_numbers(problem: Any) -> Iterable[str]:
    """Metrics that return no number at a start."""
    import torch

    start = problem.start(torch.Generator().manual_seed(0))
    for name, metric in problem.metrics.items():
        value = metric(problem.train, start)
        try:
            float(value)
        except (TypeError, ValueError, RuntimeError):
            yield f"expected the metric {name} to return a number, got {type(value).__name__}"


def _checked_options(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a problem's function with its defaults, checked against its signature."""
    parameters = inspect.signature(resolve_problem(path)).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [
        name for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name != "device"
    ]  # fmt: skip
    lines = [
        f"{name}: {path} has no such option{nearest(name, known)}"
        for name in options
        if name not in known and not open_ended
    ]
    lines += [
        f"{name}: missing; {path} needs it"
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in options
    ]
    if lines:
        raise StudyFileError(lines)
    defaults = {
        name: parameters[name].default
        for name in known
        if isinstance(parameters[name].default, bool | int | float | str | None)
    }
    return {**{k: v for k, v in defaults.items() if v is not inspect.Parameter.empty}, **options}


def _with_defaults(
    config: StudyConfig, folder: Path | None, facts: Mapping[str, Facts]
) -> tuple[StudyConfig, list[str], dict[str, str]]:
    """The study with defaults of optimizers and finders, what is wrong with it, and sources.

    Defaults that depend on a landscape hold for an optimizer of all problems where all agree.
    """
    from lowroad.optimizers.method import settings_of
    from lowroad.paths.registry import finder_settings

    found: list[str] = []
    codes: dict[str, str] = {}
    for problem in config.problems:
        found += misused(config, problem, folder, codes)
    if found:
        return config, found, codes
    content = document(config, full=True)
    common = SimpleNamespace(
        free_gradients=all(each.free_gradients for each in facts.values()),
        gradient_tolerance=min((each.gradient_tolerance for each in facts.values()), default=1e-9),
    )
    tables: list[tuple[dict[str, Any], Any]] = [(content, common)]
    tables += [(table, facts.get(name, common)) for name, table in content["problems"].items()]
    for table, landscape in tables:
        for own in table.get("optimizers", {}).values():
            if "method" in own:
                own |= {**_set(settings_of(own["method"], own, landscape)), **own}
        paths = table.get("paths", {})
        if "finder" in paths:
            table["paths"] = {**_set(finder_settings(paths["finder"])), **paths}
        for each in paths.get("finders", {}).values():
            each |= {**_set(finder_settings(each["finder"])), **each}
    return parse_study(content), found, codes


def _set(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults that a study file can hold."""
    return {name: value for name, value in defaults.items() if value is not None}


def misused(
    config: StudyConfig, problem: str, folder: Path | None, codes: dict[str, str]
) -> Iterable[str]:
    """What is wrong with the optimizers and path finders of a problem; adds their sources."""
    from lowroad.optimizers.method import check_settings
    from lowroad.paths.registry import check_finder

    settings, sections = config.settings(problem), config.problems[problem].sections
    checks: list[tuple[str, Callable[[str, dict[str, Any]], None], str, dict[str, Any]]] = []
    for name, table in settings.optimizers.items():
        own = name in sections.get("optimizers", {})
        place = f"problems.{problem}.optimizers.{name}" if own else f"optimizers.{name}"
        checks += [(place, check_settings, table.method, each) for each in combinations(table.own)]
        with suppress(ImportError):  # the check says it
            codes[table.method] = table.version or note_import(table.method, folder)
    place = f"problems.{problem}.paths" if "paths" in sections else "paths"
    checks.append((place, check_finder, settings.paths.finder, settings.paths.own))
    for name, finder in settings.paths.finders.items():
        checks.append((f"{place}.finders.{name}", check_finder, finder.finder, finder.own))
    for place, check, name, each in checks:
        try:
            check(name, each)
        except Exception as error:
            if folder is not None and is_users(error, folder):
                raise UserCodeError(place, error, folder) from error
            if not isinstance(error, ValueError | TypeError | ImportError):
                raise
            yield from (f"{place}.{line}" for line in str(error).splitlines())


def _files(patterns: Any, folder: Path | None) -> tuple[CheckpointFile, ...]:
    """The files that patterns match, by content; two of equal content count once."""
    listed = (patterns,) if isinstance(patterns, str) else patterns
    paths = {
        (folder or Path()) / match for pattern in listed
        for match in glob(pattern, root_dir=folder, recursive=True)
    }  # fmt: skip
    by_digest = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path
        for path in sorted(paths, reverse=True)
        if path.is_file()
    }
    return tuple(CheckpointFile(str(by_digest[d].absolute()), d) for d in sorted(by_digest))


def _unfit(
    files: Iterable[CheckpointFile],
    table: CheckpointSettings,
    reference: ProblemReference,
    folder: Path | None,
) -> Iterable[str]:
    """What is wrong with files of checkpoints that do not fit their problem."""
    from lowroad.problems import read_solution

    for file in files:
        try:
            read_solution(make_problem(reference, folder), Path(file.path), table.key)
        except (ValueError, OSError) as error:
            yield _first_line(error)


def misfits(study: Study) -> Iterable[str]:
    """Settings that do not fit the problems: found without making anything."""
    for name, facts in study.facts.items():
        settings = study.config.settings(name)
        if settings.paths.align and not facts.aligns:
            yield f"paths.align: the problem {name} has no alignment"
        if settings.sharpness.runs and not facts.network:
            yield f"sharpness.runs: {name} is not a network on data, whose Hessian can be measured"
        elif settings.sharpness.runs and settings.sharpness.eigenvalues > facts.dimension:
            yield (
                f"sharpness.eigenvalues: expected at most {facts.dimension}, the parameters of "
                f"{name}, got {settings.sharpness.eigenvalues}"
            )
        smallest = min((facts.samples[split] for split in study.splits(name)), default=1)
        batch = settings.paths.own.get("batch_size")
        if isinstance(batch, int) and batch > smallest:
            yield (
                f"paths.batch_size: expected at most {smallest}, the number of samples of {name}, "
                f"got {batch}"
            )
        for optimizer, table in study.config.optimizers_of(name).items():
            size = table.own.get("batch_size")
            if isinstance(size, int) and size > facts.samples["train"] > 1:
                yield (
                    f"optimizers.{optimizer}.batch_size: expected at most "
                    f"{facts.samples['train']}, the training samples of {name}, got {size}"
                )


def _failing(study: Study, known: Study | None) -> Iterable[str]:
    """Optimizers that are new here and cannot take a first step."""
    import torch

    from lowroad.optimizers.method import check_first_step

    for name, reference in study.problems.items():
        same = known is not None and known.problems.get(name) == reference
        before = known.config.settings(name).optimizers if same and known is not None else {}
        for optimizer, table in study.config.optimizers_of(name).items():
            if before.get(optimizer) == table or table.method in ("sgd", "lbfgs"):
                continue
            problem = make_problem(reference, study.folder)
            start = problem.start(torch.Generator().manual_seed(study.config.seed))
            for each in combinations(table.own):
                try:
                    check_first_step(table.method, each, problem.train, start)
                except ValueError as error:
                    yield f"optimizers.{optimizer}.{_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
