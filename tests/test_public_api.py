"""The public API: every name resolves, and type checkers see the same names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lowroad


@pytest.mark.parametrize("name", lowroad.__all__)
def test_every_name_resolves(name):
    assert getattr(lowroad, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(lowroad.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == lowroad._MODULE_OF


def test_unknown_names_are_named():
    with pytest.raises(AttributeError, match="no attribute 'Lanscape'"):
        lowroad.Lanscape  # noqa: B018


def test_importing_the_package_does_not_load_pytorch():
    code = "import sys, lowroad; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["models.FCP", "analysis.kernel_pca"])
def test_modules_need_no_import_of_their_own(name):
    code = f"import lowroad; print(lowroad.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name.split(".")[1]
