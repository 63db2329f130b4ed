"""Layered settings: read once from all sources, validated once, every mistake reported together.

- ``model``: ``Group`` and ``Settings``, the two base classes, and the markers a field can carry
- ``catalog``: the mapping between variable names and the leaves of a settings class
- ``loading``: ``load``, which asks the sources in their order
- ``layers``, ``dotenv_file``, ``yaml_file``, ``decoding``: one source each, and text made into values
- ``mistakes``: ``Mistake`` and ``SettingsError``
- ``production``: what production refuses, and ``weak_secret``
- ``origins``: where each value came from, with secrets masked

The order of the sources, highest first: init arguments, environment, ``.env``, secret files, the remote
source, ``config/service.<environment>.yaml``, ``config/service.yaml``, ``config/defaults.yaml``, code.
"""

from chassis.settings.catalog import Catalog, Leaf
from chassis.settings.loading import load
from chassis.settings.mistakes import Mistake, SettingsError
from chassis.settings.model import AnyStrength, Group, Prefix, Settings, Variable
from chassis.settings.origins import Origin, provenance
from chassis.settings.production import weak_secret

__all__ = [
    "AnyStrength",
    "Catalog",
    "Group",
    "Leaf",
    "Mistake",
    "Origin",
    "Prefix",
    "Settings",
    "SettingsError",
    "Variable",
    "load",
    "provenance",
    "weak_secret",
]
