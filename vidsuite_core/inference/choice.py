"""The choice of a back end: by measurement, among those equal to the plain network, and remembered."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference import identity
from vidsuite_core.inference.base import Converted, Example, Inference, Precision
from vidsuite_core.inference.equality import difference
from vidsuite_core.inference.flat import Form
from vidsuite_core.inference.registry import Candidate, candidates, find_backend
from vidsuite_core.inference.torch_backends import Eager
from vidsuite_core.support.cache import cache_key, network_cache
from vidsuite_core.support.environment import cpu_model

_ROUNDS = 7
_SECONDS = 3.0
"""Timed calls of each back end, in turn: up to so many rounds, or until so much time has passed."""
_HOPELESS = 2.0
"""A back end whose second call takes so many times the fastest one's is not timed further."""


@dataclass(frozen=True)
class Trial:
    """What came of a back end in one precision.

    Attributes:
        seconds: of a call, the least of several; None where it was not timed.
        largest, norm: how far its results are from the plain network's in float32 (see `equality.Difference`).
        reason: why it cannot be taken; empty where it can.
    """

    backend: str
    precision: Precision
    seconds: float | None = None
    largest: float | None = None
    norm: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Chosen:
    """What runs a network on inputs of some shapes."""

    converted: Converted
    outputs: Form
    trial: Trial
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class _Equal:
    """A candidate that runs the network, and equal to it."""

    candidate: Candidate
    converted: Converted
    trial: Trial


def native_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies in bfloat16; where it only emulates that, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


_recent: OrderedDict[str, Chosen] = OrderedDict()
_RECENT = 4
"""Choices that a process keeps ready: a cell asks for the same one to predict, and again to measure."""


def forget() -> None:
    """Drop what this process keeps ready; what is on disk stays."""
    _recent.clear()


def choose(example: Example, inference: Inference, keep_converted: bool) -> Chosen:
    """The fastest back end that equals the plain network on the example; see `vidsuite_core.inference.accelerate`."""
    named = None if inference.backend == "auto" else find_backend(inference.backend, example.device.type)
    tried = [named] if named else [one for one in candidates(example.device.type) if one.automatic]
    precision: Precision = "fp32"
    if inference.precision == "bf16" or (inference.precision == "auto" and native_bf16(example.device)):
        precision = "bf16"
    search = _Search(example, tried, keep_converted)
    chosen = search.run(precision)
    if chosen is None and precision == "bf16" and inference.precision == "auto":
        chosen = search.run("fp32")
    if chosen is None:
        reasons = "; ".join(f"{trial.backend}: {trial.reason}" for trial in search.trials)
        raise VidsuiteError(
            f"no back end runs it in {precision} as asked ({reasons}); take backend='auto'"
            + (" or precision='fp32'" if precision == "bf16" else "")
        )
    return chosen


class _Search:
    """The search for the back end of one example."""

    def __init__(self, example: Example, tried: Sequence[Candidate], keep_converted: bool) -> None:
        self.example, self.tried, self.keep_converted = example, tried, keep_converted
        self.trials: list[Trial] = []
        self._expected: list[Tensor] | None = None
        self._keys = _keys(example, tried)

    def run(self, precision: Precision) -> Chosen | None:
        """The choice in one precision; None where no back end equals the plain network."""
        ready = f"{network_cache().root} {self._keys.get('network')} {precision}"
        chosen = _recent.get(ready) or self._remembered(precision) or self._found(precision)
        if chosen is not None and self._keys:
            _recent[ready] = chosen
            _recent.move_to_end(ready)
            if len(_recent) > _RECENT:
                _recent.popitem(last=False)
        return chosen

    def _found(self, precision: Precision) -> Chosen | None:
        """The choice made now."""
        times = self._times(precision)
        found = self._in_order(precision, times) if times else None
        if found is None:
            self.trials = [trial for trial in self.trials if trial.precision != precision]
            found = self._all(precision)
            self._keep_times(precision)
        return None if found is None else self._keep(found, precision)

    def _all(self, precision: Precision) -> _Equal | None:
        """Convert all, and time those that are equal."""
        ready = [found for found in (self._try(one, precision) for one in self.tried) if found is not None]
        self._refuse_hidden_state()
        if len(ready) > 1:
            ready = _timed(ready, self.example)
        self.trials += [found.trial for found in ready]
        return min(ready, key=lambda found: found.trial.seconds or 0.0, default=None)

    def _in_order(self, precision: Precision, times: dict[str, float | None]) -> _Equal | None:
        """Take the first that is equal, by the times of the same network with other weights."""
        known = [one for one in self.tried if one.name in times]
        for one in sorted(known, key=lambda candidate: times[candidate.name] or 0.0):
            found = self._try(one, precision)
            if found is not None:
                found = replace(found, trial=replace(found.trial, seconds=times[one.name]))
                self.trials.append(found.trial)
                return found
        return None

    def _try(self, candidate: Candidate, precision: Precision) -> _Equal | None:
        """Convert and compare; what does not work out is kept among the trials with its reason."""
        trial = Trial(candidate.name, precision)
        if candidate.backend is None:
            self.trials.append(replace(trial, reason=candidate.missing))
            return None
        expected = self._plain()
        try:
            with torch.no_grad():
                converted = candidate.backend.convert(self.example, precision)
                plain = precision == "fp32" and isinstance(candidate.backend, Eager)
                found = expected if plain else converted(self.example.tensors)
        except Exception as error:  # a library may raise anything: that network is not for it
            self.trials.append(replace(trial, reason=_one_line(error)))
            return None
        off = difference(found, expected)
        trial = replace(trial, largest=off.largest, norm=off.norm)
        if not off.within(precision):
            self.trials.append(replace(trial, reason=off.text(precision)))
            return None
        return _Equal(candidate, converted, trial)

    def _plain(self) -> list[Tensor]:
        """The plain network's results on the example, in float32."""
        if self._expected is None:
            given = [tensor.clone() for tensor in self.example.tensors]
            with torch.no_grad():
                self._expected = [tensor.clone() for tensor in self.example.network(*given)]
            if not all(map(torch.equal, given, self.example.tensors)):
                raise UsageError("it writes into its inputs; let it copy what it changes")
        return self._expected

    def _refuse_hidden_state(self) -> None:
        """A network that remembers by itself would be taken as it was when it was converted."""
        with torch.no_grad():
            again = self.example.network(*self.example.tensors)
        if not difference(again, self._plain()).within("fp32"):
            raise UsageError("it gives other results when it is called again; let it take its state and give the next")

    # --- what is remembered ---------------------------------------------------------------------------------

    def _remembered(self, precision: Precision) -> Chosen | None:
        """The choice for this very network, with the converted one where that was kept."""
        entry = _read(self._keys.get("network"), precision)
        if entry is None:
            return None
        trials = tuple(Trial(**trial) for trial in entry["trials"])
        trial = next(trial for trial in trials if trial.backend == entry["chosen"] and not trial.reason)
        candidate = next((one for one in self.tried if one.name == trial.backend), None)
        if candidate is None or candidate.backend is None:
            return None
        with suppress(Exception), torch.no_grad():  # a converted network that cannot be read is made again
            if "blob" in entry:
                converted = candidate.backend.restore(entry["blob"].tobytes(), self.example, precision)
            else:
                converted = candidate.backend.convert(self.example, precision)
            return Chosen(converted, Form.from_json(entry["outputs"]), trial, trials)
        return None

    def _times(self, precision: Precision) -> dict[str, float | None] | None:
        """Seconds of each back end that ran a network of this structure; None where that was not measured."""
        entry = _read(self._keys.get("structure"), precision)
        return entry and entry["seconds"]

    def _keep_times(self, precision: Precision) -> None:
        seconds = {trial.backend: trial.seconds for trial in self.trials if not trial.reason}
        if self._keys and seconds:
            _write(self._keys["structure"], precision, {"seconds": seconds})

    def _keep(self, found: _Equal, precision: Precision) -> Chosen:
        outputs = self.example.network.outputs
        assert outputs is not None
        places = {one.name: place for place, one in enumerate(self.tried)}
        trials = tuple(sorted(self.trials, key=lambda trial: places[trial.backend]))
        form = outputs.to_json()
        if self._keys and form is not None and self.keep_converted:
            entry = {"chosen": found.candidate.name, "outputs": form, "trials": [asdict(trial) for trial in trials]}
            _write(self._keys["network"], precision, entry, found.converted.blob())
        return Chosen(found.converted, outputs, found.trial, trials)


def _timed(ready: Sequence[_Equal], example: Example) -> list[_Equal]:
    """The same with their seconds: calls in turn, so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {found.trial.backend: [] for found in ready}
    start, running = time.perf_counter(), list(ready)
    for number in range(_ROUNDS):
        for found in running:
            seconds[found.trial.backend].append(_seconds(found.converted, example))
        best = min(min(times) for times in seconds.values())
        running = [found for found in running if min(seconds[found.trial.backend]) <= _HOPELESS * best]
        if len(running) == 1 or (number and time.perf_counter() - start > _SECONDS):
            break
    return [replace(found, trial=replace(found.trial, seconds=min(seconds[found.trial.backend]))) for found in ready]


def _seconds(converted: Converted, example: Example) -> float:
    start = _now(example.device)
    with torch.no_grad():
        converted(example.tensors)
    return _now(example.device) - start


def _now(device: torch.device) -> float:
    """Seconds, after all that the device was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _keys(example: Example, tried: Sequence[Candidate]) -> dict[str, str]:
    """Under what a choice is remembered: by structure, and by structure and weights; empty where it is not to be."""
    structure = identity.structure(example.network.network)
    if structure is None:
        return {}
    gpu = example.device.type == "cuda"
    parts = {
        "structure": structure,
        "inputs": [
            [str(tensor.dtype), [-1 if axis in axes else n for axis, n in enumerate(tensor.shape)], list(axes)]
            for tensor, axes in zip(example.tensors, example.varying, strict=True)
        ],
        "form": repr(example.network.inputs),
        "device": torch.cuda.get_device_name(example.device) if gpu else cpu_model(),
        "threads": 0 if gpu else example.threads,
        "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32] if gpu else [],
        "tried": [[one.name, one.backend.version if one.backend else None] for one in tried],
    }
    whole = {**parts, "weights": identity.weights(example.network.network)}
    return {"structure": cache_key(kind="times", **parts), "network": cache_key(kind="network", **whole)}


def _read(key: str | None, precision: str) -> dict[str, Any] | None:
    arrays = network_cache().get(f"{key}-{precision}") if key else None
    if arrays is None:
        return None
    entry: dict[str, Any] = json.loads(arrays["entry"].tobytes())
    return {**entry, "blob": arrays["blob"]} if "blob" in arrays else entry


def _write(key: str, precision: str, entry: dict[str, Any], blob: bytes | None = None) -> None:
    arrays = {"entry": np.frombuffer(json.dumps(entry).encode(), np.uint8)}
    if blob is not None:
        arrays["blob"] = np.frombuffer(blob, np.uint8)
    network_cache().put(f"{key}-{precision}", arrays)


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, VidsuiteError) else f"{type(error).__name__}: {text[:300]}"
