"""What a back end is: it takes a network as it is, and gives it converted. Importing this module is cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vidsuite_core.errors import UsageError, VidsuiteError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vidsuite_core.inference.flat import FlatNetwork

Precision = Literal["fp32", "bf16"]
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Inference:
    """How a network is to be run: its precision ("fp32", "bf16" or "auto") and its back end (a name, or "auto").

    Raises:
        UsageError: an unknown precision.
    """

    precision: str = "auto"
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r} is none of {', '.join(PRECISIONS)}")

    @property
    def is_plain(self) -> bool:
        """Whether it is the network as it is written, in float32: nothing is to be chosen or compared."""
        return self == Inference("fp32", "eager")


@dataclass(frozen=True)
class Example:
    """A network with the inputs of one call.

    Attributes:
        network: in eval mode, without gradients, on the device; tensors in, a tuple of tensors out.
        tensors: its inputs.
        varying: of each input, the axes of which every length is as good.
        device: where it is and is to run.
        threads: of a CPU, that it may use.
    """

    network: FlatNetwork
    tensors: tuple[Tensor, ...]
    varying: tuple[tuple[int, ...], ...]
    device: torch.device
    threads: int


class Converted(ABC):
    """A network made ready by a back end."""

    @abstractmethod
    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The results of one call, in new memory; called without gradients, with shapes as the example's or varying."""

    def blob(self) -> bytes | None:
        """What `Backend.restore` makes the same from; None where nothing can be kept."""
        return None


class Backend(ABC):
    """A way to run networks, as a `BackendSpec` names it; made without arguments."""

    def missing(self, device: str) -> str:
        """Why it cannot be used on `device` ("cpu" or "cuda") here, and what would help; empty where it can.

        Asked by `vidsuite show` and `doctor`, so imports nothing heavy.
        """
        return ""

    @property
    def version(self) -> str:
        """Version of the library behind it, on which what it keeps depends; torch's is known."""
        return ""

    @abstractmethod
    def convert(self, example: Example, precision: Precision) -> Converted:
        """Make the network ready; whatever it raises counts as that it cannot, and is told to the user."""

    def restore(self, blob: bytes, example: Example, precision: Precision) -> Converted:
        """The converted network that gave `blob`, on the same kind of device, under the same version."""
        raise VidsuiteError(f"{type(self).__name__} keeps nothing that it could be restored from")
