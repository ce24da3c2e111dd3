"""Labels that a protocol keeps back: who may lack them, what a cell is given, and the hash of such."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CLASSES, begin, clip_arrays, core_suite, make_cell, make_record
from summed import rows

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.protocols import as_given, make_folds, withheld
from vidsuite_core.results.record import Holder
from vidsuite_core.results.store import PREDICTIONS, Attempt, Store, write_predictions
from vidsuite_core.results.withheld import KEPT_BACK, joined, labels_hash
from vidsuite_core.runner.plan import plan_cells
from vidsuite_core.samples import ClipSample, FrameSample, KeyFrameSample, MomentsSample, Recording

PROTOCOL = {"type": "fixed", "labels": "withheld"}


def recording(name: str) -> Recording:
    return Recording(name=name, subject=name, planes=(Path("a.mkv"),), frames=9, fps=10, content=name)


def clip(name: str, split: str, label: int | None) -> ClipSample:
    return ClipSample(id=name, footage=recording(name), split=split, label=label, start=0, stop=9)


def clips(test_label: int | None = None) -> list[ClipSample]:
    return [clip(f"a{i}", "train", i % 2) for i in range(4)] + [clip(f"b{i}", "test", test_label) for i in range(2)]


class TestProtocol:
    def test_labels_of_the_test_side_may_be_missing(self) -> None:
        (fold,) = make_folds(PROTOCOL, clips())
        assert (len(fold.train), fold.test) == (4, ("b0", "b1"))

    def test_of_others_they_may_not(self) -> None:
        with pytest.raises(UsageError, match="sample 'b0' has no label; only a protocol of type fixed"):
            make_folds({"type": "fixed"}, clips())
        for split in ("train", "val"):
            with pytest.raises(UsageError, match="sample 'x' has no label"):
                make_folds(PROTOCOL, [*clips(), clip("x", split, None)])
        with pytest.raises(UsageError, match="sample 'b0' has no label"):
            make_folds({"type": "grouped_kfold", "folds": 2}, clips())

    def test_what_is_on_no_side_needs_none(self) -> None:
        (fold,) = make_folds({"type": "fixed"}, [*clips(1), clip("x", "", None)])
        assert "x" not in (*fold.train, *fold.test)

    @pytest.mark.parametrize("kind", ["grouped_kfold", "leave_one_group_out", "repeated_halves"])
    def test_a_protocol_that_trains_on_all_keeps_none_back(self, kind: str) -> None:
        with pytest.raises(UsageError, match=f"protocol {kind} trains on each sample in one of its folds"):
            make_folds({"type": kind, "labels": "withheld"}, clips(1))

    def test_an_unknown_word(self) -> None:
        with pytest.raises(UsageError, match="labels='secret' is unknown; there is 'withheld'"):
            withheld({"type": "fixed", "labels": "secret"})

    def test_a_cell_is_given_none_even_where_they_are(self) -> None:
        assert as_given(PROTOCOL, clips(1)) == clips(None)
        assert as_given({"type": "fixed"}, clips(1)) == clips(1)

    def test_samples_of_a_type_that_names_no_truth(self) -> None:
        @dataclass
        class Foreign:
            id: str = "x"
            split: str = "test"

        with pytest.raises(UsageError, match="a Foreign names no fields of its own as truth"):
            as_given(PROTOCOL, [Foreign()])

    def test_no_moment_of_training_is_chosen_by_them(self) -> None:
        def plan(config: dict[str, Any]) -> list[Any]:
            return plan_cells(
                benchmark="p/b", task=("clip_classification", 1), dataset="p/d", samples=clips(), fingerprint="f",
                protocol=PROTOCOL, model="p/m", config=config, weights={}, seeds=[0], preset="quick", device_kind="cpu",
            )  # fmt: skip

        base = {"train_cfg": {"by_epoch": True}}
        assert len(plan(base)) == 1
        assert plan(base)[0].score_key["protocol"]["labels"] == "withheld"
        with pytest.raises(UsageError, match="p/m chooses a moment of training on the scored samples"):
            plan({**base, "paper_rule": "best_on_test"})


@pytest.mark.parametrize(
    ("sample", "fields"),
    [
        (clip("a", "test", 1), ["label"]),
        (MomentsSample(id="a", footage=recording("a"), label=1, moments=((0, 2),)), ["label"]),
        (FrameSample(id="a", footage=recording("a"), index=0, labels=Path("a.png")), ["labels"]),
        (KeyFrameSample(id="a", footage=recording("a"), index=0), ["boxes", "classes"]),
    ],
)
def test_a_sample_without_its_labels(sample: Any, fields: list[str]) -> None:
    bare = sample.unlabelled()
    assert (sample.labelled, bare.labelled) == (True, False)
    assert [getattr(bare, name) for name in fields] == [None] * len(fields)
    assert (bare.id, bare.footage, bare.split) == (sample.id, sample.footage, sample.split)


def test_boxes_without_classes_are_refused() -> None:
    with pytest.raises(VidsuiteError, match="has 0 boxes and 1 classes"):
        KeyFrameSample(id="a", footage=recording("a"), index=0, boxes=None, classes=(1,))


def test_a_task_without_answers_says_so() -> None:
    task = core_suite().tasks["clip_classification"].open(CLASSES)
    with pytest.raises(VidsuiteError, match="cannot do without the labels of what it scores"):
        super(type(task), task).check_answers({})


class TestHash:
    def test_it_differs_wherever_a_label_does_and_by_its_key(self) -> None:
        one = clips(1)
        assert labels_hash(one, b"k") == labels_hash(one[::-1], b"k")
        assert labels_hash(one, b"k") != labels_hash(one, b"l")
        assert labels_hash(one, b"k") != labels_hash([*one[:-1], clip("b1", "test", 0)], b"k")
        assert labels_hash(one, b"k") != labels_hash([*one[:-1], clip("b2", "test", 1)], b"k")

    def test_label_maps_count_by_their_content(self, tmp_path: Path) -> None:
        sample = FrameSample(id="a", footage=recording("a"), index=0, labels=tmp_path / "a.png")
        hashes = set()
        for content in (b"1", b"2"):
            (tmp_path / "a.png").write_bytes(content)
            hashes.add(labels_hash([sample], b"k"))
        assert len(hashes) == 2


def test_predictions_join_in_whatever_order_they_are() -> None:
    task = core_suite().tasks["clip_classification"].open(CLASSES)
    samples = [clip(f"b{i}", "test", i % 2) for i in range(3)]
    prob = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    order = [2, 0, 1]
    names = np.array([f"b{i}" for i in order])
    found = joined(task, {"sample_id": names, "subject": names, "recording": names, "prob": prob[order]}, samples)
    assert found["target"].tolist() == [0, 0, 1]
    assert found["prob"].tolist() == prob[order].tolist()


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["b0", "b1"], "its predictions lack 1 of the 3 samples, as 'b2'"),
        (["b0", "b1", "b2", "c"], "its predictions hold 1 samples that are not tested, as 'c'"),
    ],
)
def test_exactly_the_tested_samples_join(ids: list[str], words: str) -> None:
    task = core_suite().tasks["clip_classification"].open(CLASSES)
    names = np.array(ids)
    arrays = {"sample_id": names, "subject": names, "recording": names, "prob": np.full((len(ids), 2), 0.5)}
    with pytest.raises(VidsuiteError, match=words):
        joined(task, arrays, [clip(f"b{i}", "test", i % 2) for i in range(3)])


class TestRows:
    """Attempts at a cell with and without scores."""

    def kept(self, store: Store, **fields: Any) -> Attempt:
        """An ok attempt with predictions alone."""
        cell = make_cell(folds=1, fold="fixed")
        key = {**cell.score_key, "protocol": {**PROTOCOL, "version": 1}}
        cell = type(cell)(**{**vars(cell), "score_key": key})
        arrays = clip_arrays()
        del arrays["target"]
        workspace = begin(store, cell)
        write_predictions(workspace.path / PREDICTIONS, arrays)
        return workspace.commit(make_record(cell, workspace.attempt, **fields))

    def test_the_one_with_scores_counts_and_is_not_verified(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        first = self.kept(store)
        (row,) = rows(core_suite(), store)
        assert (row.done, row.expected, dict(row.scores), row.kept_back) == (1, 1, {}, KEPT_BACK)
        assert row.problems == ()
        assert row.rank is None
        score = {"value": 0.5, "unit": "fraction", "direction": "higher", "n": 18}
        holder = Holder(by="H", of=first.record.attempt, labels="0" * 64, created=first.record.created)
        self.kept(store, scores={"macro_f1": score}, holder=holder)
        self.kept(store)  # newer, without scores
        (row,) = rows(core_suite(), store)
        assert row.scores["macro_f1"].mean == 0.5
        assert row.scores["macro_f1"].interval is None
        assert row.kept_back == row.reason == "labels kept back: scored by H, who has them, and not recomputable here"
        assert row.rank is None
