"""Import a module that lies beside a test file; the folders of tests are no packages."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["sibling"]


def sibling(file: str, name: str) -> ModuleType:
    """Import ``name`` from the folder of ``file``, under the names of both."""
    path = Path(file).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
