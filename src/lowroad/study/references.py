"""What a study file names by import path: found, imported, and identified by its source.

A record's hash holds the import path, the options and the *code* of what made it: the given
`version`, or a digest of the module's source and of the modules in the study's folder that it
imports. The same digest given as `version` keeps all records valid when the source changes.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowroad.execution.clusters import ClusterError
from lowroad.importing import import_object
from lowroad.study.study_file import StudyFileError
from lowroad.study.user_errors import UserCodeError, is_users

if TYPE_CHECKING:
    from lowroad.problems import Problem

NUMERICS = 2
"""To be raised when the same settings come to mean another computation: old records stay valid for
what they say but are no longer found."""


@dataclass(frozen=True)
class ProblemReference:
    """A problem by name, as tasks carry it to workers.

    Attributes:
        label: what the study calls it.
        path: import path of the function that makes it.
        options: its keyword options, as canonical JSON.
        code: version or digest of its source.
    """

    label: str
    path: str
    options: str
    code: str

    def hash_inputs(self) -> dict[str, Any]:
        """What determines the problem."""
        return {"from": self.path, "options": self._options, "code": self.code}

    @cached_property
    def _options(self) -> dict[str, Any]:
        return json.loads(self.options)


@dataclass(frozen=True)
class Facts:
    """What is known of a problem once it has been made: its fingerprint, and words for reports.

    Attributes:
        dimension, dtype: of its points.
        start_norm, start_value: of its first start: other data gives another value.
        quantity, unit, lower_bound: what a value is.
        splits: "train", and "test" where there is a test landscape.
        samples: how many samples each split's landscape is a mean over.
        metrics: names of its metrics.
        validation, aligns, merges: whether it has a validation landscape, an alignment, and a test
            for solutions that are the same.
        free_gradients, gradient_tolerance: of its training landscape; defaults depend on them.
        network: whether the training landscape is a network's.
        value_seconds, gradient_seconds: rough times of one evaluation of the training landscape.
        seed: the study's, of which the first start is; -1 where it was not noted.
    """

    dimension: int
    dtype: str
    start_norm: float
    start_value: float
    quantity: str = "loss"
    unit: str = ""
    lower_bound: float | None = None
    splits: tuple[str, ...] = ("train",)
    samples: dict[str, int] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    validation: bool = False
    aligns: bool = False
    merges: bool = False
    free_gradients: bool = False
    gradient_tolerance: float = 1e-9
    network: bool = False
    value_seconds: float = 0.0
    gradient_seconds: float = 0.0
    seed: int = -1

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Facts:
        """Return the facts that `vars` gave."""
        return cls(**{**raw, "splits": tuple(raw["splits"]), "metrics": tuple(raw["metrics"])})

    def differences(self, other: Facts) -> list[str]:
        """What differs between two fingerprints, beyond rounding."""
        lines = [
            f"{name}: expected {getattr(self, name)}, got {getattr(other, name)}"
            for name in ("dimension", "dtype", "splits", "samples")
            if getattr(self, name) != getattr(other, name)
        ]
        for name in ("start_norm", "start_value"):
            expected, got = getattr(self, name), getattr(other, name)
            if abs(expected - got) > 1e-4 * max(abs(expected), abs(got)):
                lines.append(f"{name}: expected {expected:.9g}, got {got:.9g}")
        return lines


def see_folder(folder: Path | None) -> None:
    """Let modules of a study's folder be imported."""
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _module_of(path: str) -> str:
    return path.partition(":")[0] if ":" in path else path.rpartition(".")[0]


def code_of(path: str, folder: Path | None) -> str:
    """Return what identifies the source behind an import path.

    "" for a built-in name; a package's name and version for installed ones; for modules in the
    study's folder a digest of the module and of all modules in the folder that it imports.

    Raises:
        ImportError: when the module is not found.
    """
    module = _module_of(path)
    root = module.partition(".")[0]
    if root in ("", "torch", "lowroad"):
        return f"numerics {NUMERICS}" if root == "lowroad" else ""
    if folder is not None and (files := _closure(module, folder)):
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(f"{name} {len(files[name])}\n".encode() + files[name])
        return digest.hexdigest()[:16]
    owners = importlib.metadata.packages_distributions().get(root, ())
    if owners:
        return f"{owners[0]} {importlib.metadata.version(owners[0])}"
    found = importlib.util.find_spec(root)
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return ""
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:16]


def _closure(module: str, folder: Path) -> dict[str, bytes]:
    """Sources by relative name of a module in a folder and of what it imports from there."""
    files: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            place = folder.joinpath(*parts[:depth])
            source = next(
                (f for f in (place.with_suffix(".py"), place / "__init__.py") if f.is_file()), None
            )
            if source is None:
                break
            key = source.relative_to(folder).as_posix()
            if key in files:
                continue
            files[key] = source.read_bytes()
            package = parts[: depth - (source.name != "__init__.py")]
            waiting += _imports(files[key], package)
    return files


def _imports(source: bytes, package: list[str]) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []  # the import will say so
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else []
    return names


_IMPORTED: dict[str, str] = {}  # the code that each module had when this process imported it
_PROBLEMS: OrderedDict[tuple[ProblemReference, str], Problem] = OrderedDict()
MOST_PROBLEMS = 3  # that a process keeps


def note_import(path: str, folder: Path | None) -> str:
    """Return the code of an import path, which this process is about to import or has imported."""
    now = code_of(path, folder)
    _IMPORTED.setdefault(_module_of(path), now)
    return now


def check_import(path: str, folder: Path | None, code: str) -> None:
    """Refuse to use an import path whose source was not the expected one when it was imported.

    Args:
        path: the import path.
        folder: the study's folder.
        code: what `code_of` gave where the study was resolved.

    Raises:
        ClusterError: when it was another one.
    """
    if _module_of(path) not in _IMPORTED:
        note_import(path, folder)
    if _IMPORTED[_module_of(path)] not in ("", code):  # where there is none, the import says so
        raise ClusterError(
            f"the source of {path} is another one here than where the run began: has it been "
            "edited since? Run the same command again, and restart the workers of a cluster"
        )


def make_problem(reference: ProblemReference, folder: Path | None, device: str = "cpu") -> Problem:
    """Return a problem, made once in a process.

    Raises:
        ClusterError: when it cannot be imported here, though the driver could, or when its source
            has changed since this process imported it.
        Exception: what the problem's function raises.
    """
    key = reference, device
    if key in _PROBLEMS:
        _PROBLEMS.move_to_end(key)
        return _PROBLEMS[key]
    see_folder(folder)
    try:
        function = resolve_problem(reference.path)
    except ImportError as error:
        raise ClusterError(
            f"{reference.path} cannot be imported here: {error}; every worker needs the study's "
            "folder and the packages that its modules import: install them there, or put the "
            "modules into a package that is installed on all machines"
        ) from error
    if note_import(reference.path, folder) != _IMPORTED[_module_of(reference.path)]:
        raise ClusterError(
            f"the source of {reference.path} has changed since this worker imported it: restart "
            "the workers"
        )
    problem = call_problem(function, json.loads(reference.options), device)
    _PROBLEMS[key] = problem
    while len(_PROBLEMS) > MOST_PROBLEMS:
        _PROBLEMS.popitem(last=False)
    return problem


def resolve_problem(path: str) -> Any:
    """Return the function that an import path or a registered name means.

    Raises:
        ImportError: when there is none.
    """
    if ":" in path:
        return import_object(path)
    found = {each.name: each for each in importlib.metadata.entry_points(group="lowroad.problems")}
    if path not in found:
        raise ImportError(
            'expected "module:function"'
            + (f" or one of {', '.join(sorted(found))}" if found else "")
            + f', got "{path}"'
        )
    return found[path].load()


def call_problem(function: Any, options: Mapping[str, Any], device: str) -> Problem:
    """Call a problem's function; one that has a `device` option is told the worker's device.

    Raises:
        TypeError: when it returns something else.
    """
    import inspect

    from lowroad.problems import Problem

    more = {"device": device} if "device" in inspect.signature(function).parameters else {}
    problem = function(**options, **more)
    if not isinstance(problem, Problem):
        raise TypeError(
            f"expected the function to return a lowroad.Problem, got {type(problem).__name__}"
        )
    return problem


def claims_of(path: str, folder: Path | None) -> Any:
    """Return the published claims that a study names.

    Raises:
        StudyFileError: there is nothing of that name, or something else.
        UserCodeError: a module of the study's folder raised.
    """
    from lowroad.analysis import Claims

    see_folder(folder)
    try:
        claims = import_object(path)
    except Exception as error:
        if folder is not None and is_users(error, folder):
            raise UserCodeError("report.claims", error, folder) from error
        if not isinstance(error, ImportError):
            raise
        raise StudyFileError([f"report.claims: {error}"]) from None
    if not isinstance(claims, Claims):
        raise StudyFileError(
            [
                f"report.claims: expected {path} to be a lowroad.analysis.Claims, got "
                f"{type(claims).__name__}"
            ]
        )
    return claims
