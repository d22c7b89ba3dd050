"""The built-in target of self-tests: a folder of our own below run/, emptied when a test has ended. Pure.
It must not be part of any routing configuration: no rule can name it.
"""

from __future__ import annotations

from pathlib import Path

from protocol.routing.model import RoutingConfiguration
from protocol.routing.targets import FolderTarget
from protocol.selftest import SINK, SINK_FOLDER


def sink(run_folder: Path) -> FolderTarget:
    """Its settings."""
    return FolderTarget(type="folder", path=str(run_folder / SINK_FOLDER), create=True, layout="{StudyInstanceUID}")


def with_sink(configuration: RoutingConfiguration, run_folder: Path) -> RoutingConfiguration:
    """The same configuration with it, for those who deliver."""
    return configuration.model_copy(update={"targets": {**configuration.targets, SINK: sink(run_folder)}})
