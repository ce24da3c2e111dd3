"""A process that renders recordings for `Synthetic.prepare`."""

from vidsuite_plugins.seizure_i3d.synthetic import work

work()
