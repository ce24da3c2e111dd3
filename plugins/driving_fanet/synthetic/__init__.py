"""The embedded dataset of driving_fanet: see `dataset`."""

from vidsuite_plugins.driving_fanet.synthetic.dataset import Synthetic, SyntheticBlind

__all__ = ["Synthetic", "SyntheticBlind"]
