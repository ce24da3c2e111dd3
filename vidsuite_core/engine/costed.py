"""The path from decoded samples to their predictions, as its cost is measured: one sample, several, or a stream."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from vidsuite_core.engine.accelerated import accelerated, replaced
from vidsuite_core.engine.data import FeatureDataset
from vidsuite_core.engine.metric import predicted
from vidsuite_core.engine.speed import altered, synchronised
from vidsuite_core.inference import Inference

WARM_UP = 8
"""Frames of a stream before the timed ones: more than the memory of any network here."""
SAMPLES = 8
"""Samples, or frames of a stream, that are timed in turn."""


class Samples:
    """Some samples that are predicted in turn, or frames of a stream.

    Attributes:
        lead: frames at the beginning of each pass that fill a memory and are not timed.
        length: samples, or frames, of a pass.
        batches: whether several samples can be predicted at once.
    """

    def __init__(self, model: Any, dataset: Any, device: str) -> None:
        self.model, self.dataset, self.device = model, dataset, device
        lengths = [getattr(sample, "__len__", lambda: 1)() for sample in dataset.samples]
        self.indices = [index for index, length in enumerate(lengths) if length == max(lengths)][:SAMPLES]
        self.described, self.lead, self.batches = f"{max(lengths)} frames", 0, True
        self.networks = [model]
        self.extractor = dataset.extractor if isinstance(dataset, FeatureDataset) else None
        if self.extractor is not None:
            self.networks.append(self.extractor)
            self.items = [dataset.clip(index) for index in self.indices]
        elif hasattr(dataset, "cost_items"):
            self.items, self.described = dataset.cost_items(WARM_UP + SAMPLES)
            self.lead, self.batches = max(0, min(WARM_UP, len(self.items) - 1)), False
        else:
            self.items = [dataset[index] for index in self.indices]
        self.length = len(self.items)

    def fit(self, seconds: float) -> None:
        """Take so few samples that each comes several times in so many seconds; a stream keeps its frames."""
        taken = max(synchronised(lambda: self.call(0), self.device)[0] for _ in range(2))
        if not self.lead:
            self.length = max(1, min(self.length, max(2, int(seconds / (3 * taken)))))

    @contextmanager
    def runs(self, inference: Inference) -> Iterator[Any]:
        """Within, networks run so."""
        if self.extractor is None:
            with accelerated(self.model, self.device, inference) as used:
                yield used
            return
        before = self.extractor
        self.extractor = before.running(inference)
        self.extractor.to(self.device)
        try:
            yield self.extractor
        finally:
            self.extractor = before

    def run(self) -> list[Any]:
        """The outputs of a pass."""
        return [self.call(place) for place in range(self.length)]

    def call(self, number: int) -> list[dict[str, Any]]:
        """Predict the sample, or the frame, at a place; from the beginning again after the last."""
        found: list[dict[str, Any]] = self.ready(number % self.length, None)()
        return found

    def ready(self, place: int, seed: int | None) -> Callable[[], Any]:
        """A call with its input made: the sample at a place, or one like it that was never seen."""
        return self._of([place], seed)

    def batch(self, size: int, number: int) -> Callable[[], Any]:
        """A call of several fresh samples at once."""
        return self._of([place % self.length for place in range(size)], 10_000 + number)

    def _of(self, places: Sequence[int], seed: int | None) -> Callable[[], Any]:
        items = [self._altered(place, seed, number) for number, place in enumerate(places)]

        def call() -> Any:
            whole = items
            if self.extractor is not None:
                features = self.extractor.extract(items)
                whole = [self.dataset.pack(self.indices[p], f) for p, f in zip(places, features, strict=True)]
            return self._predict(whole)

        return call

    def _altered(self, place: int, seed: int | None, number: int) -> Any:
        item = self.items[place]
        if seed is None:
            return item
        own = seed * 1009 + place * 31 + number
        return altered(item, own) if self.extractor is not None else {**item, "inputs": altered(item["inputs"], own)}

    def _predict(self, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        batch = {name: [item[name] for item in items] for name in ("inputs", "data_samples")}
        return [predicted(output.to_dict()) for output in self.model.test_step(batch)]

    def scored(self, witnessed: Mapping[str, Any], otherwise: Sequence[Any]) -> list[Any]:
        """For each place the output that was scored, or, where it was not kept, that of the scored way now."""
        found = []
        for place, other in enumerate(otherwise):
            kept = witnessed.get(self._name(place))
            found.append([kept] if kept is not None else other)
        return found

    def _name(self, place: int) -> str:
        if self.batches:
            return str(self.dataset.samples[self.indices[place]].id)
        return str(self.items[place]["data_samples"].metainfo.get("sample_id", ""))

    def network_alone(self, used: Any) -> float:
        """Median seconds of a call inside the networks: in their parts, or in `forward` where none is known."""
        with ExitStack() as stack:
            spent: list[float] = []

            def timing(function: Callable[..., Any]) -> Callable[..., Any]:
                def timed(*args: Any, **kwargs: Any) -> Any:
                    seconds, result = synchronised(lambda: function(*args, **kwargs), self.device)
                    spent.append(seconds)
                    return result

                return timed

            parts = getattr(used, "parts", [])
            for part in parts:
                name = "plain" if part.fast is None else "fast"
                stack.enter_context(replaced(part, name, timing(getattr(part, name))))
            if not parts:
                stack.enter_context(replaced(self.model, "forward", timing(self.model.forward)))
            if self.extractor is not None:
                stack.enter_context(replaced(self.extractor, "extract", timing(self.extractor.extract)))
            sums = []
            for place in range(self.length):
                spent.clear()
                self.ready(place, 20_000)()
                sums.append(sum(spent))
        return statistics.median(sums[self.lead :])

    def whole(self, calls: int) -> list[float]:
        """Seconds from the file to the prediction; what a pipeline keeps of what it has read counts as in use."""
        found = []
        for number in range(calls):
            index = self.indices[number % len(self.indices)]
            start = time.perf_counter()
            if self.extractor is not None:
                features = self.extractor.extract([self.dataset.clip(index)])[0]
                item = self.dataset.pack(index, features)
            else:
                item = self.dataset[index]
            self._predict([item])
            found.append(time.perf_counter() - start)
        return found
