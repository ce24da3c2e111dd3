"""Running trained networks fast: one way in, and back ends behind it that well-kept libraries do the work of.

A model writes its network once, plainly; `accelerate` finds how it runs fastest here. Importing this package is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vidsuite_core.inference.base import PRECISIONS, Backend, Converted, Example, Inference

if TYPE_CHECKING:
    import torch

    from vidsuite_core.inference.accelerated import Accelerated, Keep

__all__ = ["PRECISIONS", "Backend", "Converted", "Example", "Inference", "accelerate"]


def accelerate(
    network: torch.nn.Module,
    example_inputs: Sequence[Any] | Mapping[str, Any] | torch.Tensor,
    *,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    backend: str = "auto",
    varying: Mapping[int, Sequence[int]] | None = None,
    keep: Keep = "converted",
) -> Accelerated:
    """A frozen copy of `network`, in eval mode and without gradients, that runs as fast as it can here.

    It has the network's own signature and results. Inputs and results are tensors, and plain values, in tuples, lists
    and dicts; a network with a memory takes its state as an input and gives the next one as a result, and keeps nothing
    by itself. Inputs are never written into, and results are the caller's own.

    "auto" measures the back ends that are present on the example, keeps the fastest of those that equal the plain
    network (see `vidsuite_core.inference.equality`), and remembers it, with the converted network, in the cache. What
    a back end could not do is told in the result's `trials`.

    A call whose shapes or types are not the example's is chosen for anew, and remembered beside it.

    Args:
        network: on any device, in any mode; later changes of it do not reach the copy.
        example_inputs: one call's arguments: a tuple of positional ones, a dict of those by name, or one tensor. Let
            them look like those to come: a back end is compared with the network on them.
        device: "cpu", or torch's name of a GPU; inputs must be there.
        precision: "fp32"; "bf16", where convolutions and products may round to bfloat16; "auto" is bf16 where the
            device multiplies in it, and fp32 elsewhere or where no back end is near enough in bf16.
        backend: the name of one, or "auto".
        varying: axes, by the number of the tensor among the inputs, of which every length is as good as the
            example's: the network must compute with shapes, not with the numbers that they happen to be.
        keep: what the cache keeps; "choice" leaves the converted network out, which is of no use again where weights
            are seldom the same twice.

    Raises:
        UsageError: an unknown precision or back end, one that is not here, or inputs of other kinds.
        VidsuiteError: the back end that was asked for cannot run the network, or not equal to it.
    """
    from vidsuite_core.inference.accelerated import Accelerated, Settings
    from vidsuite_core.inference.flat import arguments

    settings = Settings.of(device, Inference(precision, backend), varying or {}, keep)
    args, kwargs = arguments(example_inputs)
    return Accelerated(network, args, kwargs, settings)
