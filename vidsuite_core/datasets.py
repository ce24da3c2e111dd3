"""The base class of datasets: a named source of samples that prepares and verifies itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from vidsuite_core.errors import DataNotReady, VidsuiteError
from vidsuite_core.media.overlay import RGB, hues
from vidsuite_core.support.ids import digest

__all__ = ["Dataset", "Progress", "digest", "silent"]

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total)."""


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


class Dataset(ABC):
    """Samples of one task, below `root`.

    A subclass is built as `Subclass(root, **options)`; the options come from the benchmark's preset
    and decide the fingerprint with the content. Everything that it writes lies below `root`.
    """

    classes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = Path(root)
        self.options = options

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether `samples` can be read now."""

    def prepare(self, progress: Progress = silent) -> None:
        """Generate or download what is missing; does nothing where all is there.

        Safe against another process that prepares the same root. A dataset that a user must
        import raises `DataNotReady`, whose text says how.
        """
        if not self.is_ready():
            raise DataNotReady(self.how_to_get())

    def import_from(self, source: Path, progress: Progress = silent) -> str:
        """Take a user's copy at `source` into `root`; returns one line that says what was taken."""
        raise VidsuiteError(f"{type(self).__name__} cannot be imported; run 'vidsuite data prepare' instead")

    def how_to_get(self) -> str:
        """One or two sentences on where the data comes from and the command that brings it in."""
        return f"the data below {self.root} is missing; run 'vidsuite data prepare' first"

    @abstractmethod
    def samples(self) -> Sequence[Any]:
        """All samples in a stable order; raises `DataNotReady` before `prepare` or `import_from`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 (hex) of all that decides the samples: content, labels, groups and their order.

        Labels of a test side that are kept back do not count: with and without them it is the same.
        """

    def verify(self, progress: Progress = silent) -> list[str]:
        """Check the files against what was recorded at preparation; one line a fault, none is well."""
        return [] if self.is_ready() else [self.how_to_get()]

    def decoding_changes(self, progress: Progress = silent) -> list[str]:
        """One line for each recording that other software decodes here than when it was brought in, to other pixels.

        Nothing is decoded where the software is the same; `verify` looks in any case. A dataset that keeps no frames'
        hashes has none.
        """
        return []

    def palette(self) -> tuple[RGB, ...]:
        """The colour (r, g, b) of each class in overlays."""
        return hues(len(self.class_names()))

    def class_names(self) -> tuple[str, ...]:
        """The classes in label order; fixed by the type unless a subclass reads them from its data."""
        return self.classes
