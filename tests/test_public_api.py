"""The public API: every name resolves, and nothing is imported before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lowroad


@pytest.mark.parametrize("name", lowroad.__all__)
def test_every_name_resolves(name):
    assert getattr(lowroad, name) is not None


def test_unknown_names_are_named():
    with pytest.raises(AttributeError, match="Lanscape"):
        lowroad.Lanscape  # noqa: B018


def test_importing_the_package_does_not_load_pytorch():
    code = "import sys, lowroad.paper; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["paper.FCP", "analysis.kernel_pca"])
def test_modules_need_no_import_of_their_own(name):
    code = f"import lowroad; print(lowroad.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == name.split(".")[1]
