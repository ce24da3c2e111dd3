"""The plugin's networks, `build(NAME)`; the submodule `classifier` registers what configs name."""

from vidsuite_plugins.blastocyst_dnn.models.networks import NETWORKS, build

__all__ = ["NETWORKS", "build"]
