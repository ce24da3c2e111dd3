"""A process that renders sequences for `Synthetic.prepare`."""

from vidsuite_plugins.driving_fanet.synthetic.dataset import work

work()
