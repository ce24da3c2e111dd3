"""What the driving datasets share: the colours of their classes."""

from vidsuite_core.media.overlay import RGB
from vidsuite_core.preparing.imported import ImportedDataset
from vidsuite_plugins.driving_fanet.classes import palette


class DrivingDataset(ImportedDataset):
    """Driving video that a user brings."""

    def palette(self) -> tuple[RGB, ...]:
        """See `Dataset.palette`."""
        return palette(self.class_names())
