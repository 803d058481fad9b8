"""Loading: Great Expectations, into the process that judges, without the much that it loads and no suite needs.

Belongs here: what is kept away from it, and what comes later. Does not: when it is loaded (judge_process.py, cli.py),
judging (judging.py).

A run asks for it before it loads anything itself, so nothing large is imported here.
"""

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType
from typing import cast

from segmentation_pipeline.resources.second_process import loaded


def load_great_expectations() -> None:
    """Load Great Expectations into this process, if it is not there already."""
    _hide("pyspark", "sqlalchemy")
    _defer("scipy.stats")
    loaded("great_expectations")


def _hide(*packages: str) -> None:
    """Let packages seem not to be installed: Great Expectations loads every engine that it finds, and needs none."""
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules.update(dict.fromkeys(packages))


def _defer(name: str) -> None:
    """Let a module be loaded when it is first used: few expectations use this one, and it is slow."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    assert spec and spec.loader, f"{name} is not installed"
    spec.loader = LazyLoader(spec.loader)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    package, _dot, own_name = name.rpartition(".")
    setattr(sys.modules[package], own_name, module)  # to import it from there would load it
