"""Building a model's network from its config, outside any cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils import import_modules_from_strings

from vidsuite_core import openmmlab
from vidsuite_core.engine import registry  # noqa: F401 (configs name what hangs below the core's node)
from vidsuite_core.engine.config import cell_config, named_weights, runtime_config
from vidsuite_core.errors import VidsuiteError
from vidsuite_core.weights import load, load_strictly

if TYPE_CHECKING:
    from mmengine.config import Config

    from vidsuite_core.specs import ModelSpec


def build_network(spec: ModelSpec, weights: Path | str | None = None, **options: Any) -> torch.nn.Module:
    """The config's `model` with `options` over it: random weights unless a file is given, loaded strictly.

    Raises:
        VidsuiteError: the model has no config, or the file does not fit it exactly.
    """
    if spec.config is None:
        raise VidsuiteError(f"model {spec.name} has neither a config nor a network to build")
    classes = options.pop("num_classes", 2)
    config = cell_config(spec.config, "", [], {f"model.{key}": value for key, value in options.items()}, "fp32")
    return network_of(config, classes, weights, spec.name)


def network_of(config: Mapping[str, Any], classes: int, weights: Path | str | None, name: str) -> torch.nn.Module:
    """The network of a resolved config (see `cell_config`); `name` is what an error calls it.

    Raises:
        VidsuiteError: the weights' file does not fit the network exactly.
    """
    built = built_config(config, classes)
    with DefaultScope.overwrite_default_scope(config.get("default_scope", "mmengine")):
        network: torch.nn.Module = MODELS.build(built.model)
    if weights is not None:
        load_strictly(network, load(Path(weights)), str(weights), name)
    return network


def built_config(config: Mapping[str, Any], classes: int, files: Mapping[str, str | None] | None = None) -> Config:
    """A resolved config as it is built outside any cell, with what it registers imported.

    Args:
        files: of named initial weights; random ones stand in for those that are missing.
    """
    openmmlab.prepare()
    import_modules(config)
    weights = {**dict.fromkeys(named_weights(config)), **(files or {})}
    return runtime_config(config, weights, classes, [1.0] * classes)


def import_modules(config: Any) -> None:
    """Import what a config's `custom_imports` names, which registers the types that it uses."""
    import_modules_from_strings(**config.get("custom_imports", {"imports": []}))
