"""FANet's loss and stream as mmengine calls them."""

import csv

import pytest
import torch
from mmengine.structures import PixelData

import vidsuite_core as vs
from vidsuite_core import openmmlab
from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.inference import Inference
from vidsuite_plugins.driving_fanet.models.segmentor import FanetSegmentor

openmmlab.prepare()
SIZE = (40, 48)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FanetSegmentor(num_classes=3, tca_depth=2)


def samples(places, labels=None, draws=None):
    from mmseg.structures import SegDataSample

    made = []
    for number, (sequence, position) in enumerate(places):
        meta = {"sequence": sequence, "position": position, "draw": draws[number] if draws else 0}
        sample = SegDataSample(metainfo=meta)
        label = torch.zeros(1, *SIZE, dtype=torch.long) if labels is None else labels[number][None]
        sample.gt_sem_seg = PixelData(data=label)
        made.append(sample)
    return made


def frames(count, seed=0):
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def test_the_first_frames_of_a_run_receive_no_loss(network):
    network.eval()  # batch statistics would mix all frames
    places = [("a", 0), ("a", 1), ("a", 2), ("b", 5), ("b", 6), ("b", 7)]
    labels = torch.randint(0, 3, (6, *SIZE))
    other = labels.clone()
    other[[0, 1, 3, 4]] = 2 - other[[0, 1, 3, 4]]
    losses = [network(frames(6), samples(places, made), mode="loss")["loss"] for made in (labels, other)]
    assert losses[0] == losses[1]
    other[2] = 2 - other[2]
    assert network(frames(6), samples(places, other), mode="loss")["loss"] != losses[0]


def test_the_context_frames_receive_a_gradient_all_the_same(network):
    network.eval()
    x = frames(3).requires_grad_()
    network(x, samples([("a", 0), ("a", 1), ("a", 2)]), mode="loss")["loss"].backward()
    assert all(x.grad[i].abs().sum() > 0 for i in range(3))


def test_frames_of_another_draw_begin_a_run(network):
    network.eval()
    x = frames(6).requires_grad_()
    places = [("a", i) for i in range(6)]
    network(x, samples(places, draws=[1, 1, 1, 2, 2, 2]), mode="loss")["loss"].backward()
    joined = frames(6).requires_grad_()
    network(joined, samples(places), mode="loss")["loss"].backward()
    assert not torch.allclose(x.grad[1], joined.grad[1])


def test_batches_that_do_not_know_the_depth_of_the_context_are_refused(network):
    with pytest.raises(UsageError, match="set tca_depth, which the batches know too"):
        network(frames(2), samples([("a", 0), ("a", 1)]), mode="loss")


def test_a_batch_of_void_alone_has_a_loss_of_zero(network):
    void = torch.full((3, *SIZE), 255)
    loss = network(frames(3), samples([("a", 0), ("a", 1), ("a", 2)], void), mode="loss")["loss"]
    assert loss == 0
    loss.backward()


def test_auxiliary_heads_add_their_losses():
    network = FanetSegmentor(num_classes=3, aux_weight=0.5)
    losses = network(frames(2), samples([("a", 0), ("a", 1)]), mode="loss")
    assert set(losses) == {"loss", "loss_aux_0", "loss_aux_1"}


def predicted(network, x, places):
    with torch.no_grad():
        return [network(x[i : i + 1], samples([place]), mode="predict")[0].pred_sem_seg.data
                for i, place in enumerate(places)]  # fmt: skip


def test_predictions_are_full_size_label_maps(network):
    (label,) = predicted(network.eval(), frames(1), [("a", 0)])
    assert label.shape == (1, *SIZE)
    assert label.dtype == torch.uint8
    assert label.max() < 3


def test_a_stream_remembers_within_a_sequence_alone(network):
    network.eval()
    x = frames(4)
    x[2] = x[0]  # the same frame, with and without a past
    goes_on = predicted(network, x[[0, 1, 2]], [("a", 0), ("a", 1), ("a", 2)])
    begins = predicted(network, x[[0, 1, 2]], [("b", 0), ("b", 1), ("c", 0)])
    gap = predicted(network, x[[0, 1, 2]], [("d", 0), ("d", 1), ("d", 7)])
    assert torch.equal(goes_on[0], begins[0])
    assert not torch.equal(goes_on[2], begins[2])
    assert torch.equal(begins[2], begins[0])
    assert torch.equal(gap[2], begins[0])


def test_the_stream_follows_new_weights(network):
    network.eval()
    before = predicted(network, frames(1), [("a", 0)])
    torch.manual_seed(7)
    network.load_state_dict(FanetSegmentor(num_classes=3, tca_depth=2).state_dict())
    assert not torch.equal(before[0], predicted(network, frames(1), [("a", 0)])[0])


def test_a_frame_s_cost_is_measured_with_the_memory_filled_and_the_network_converted_once(monkeypatch):
    from vidsuite_core.engine import accelerated, cost
    from vidsuite_core.engine.costed import SAMPLES, WARM_UP
    from vidsuite_core.engine.speed import Protocol

    made, seen = [], []
    real = accelerated.Accelerated

    class Counted(real):
        def __init__(self, network, *rest):
            made.append(rest[-1].inference)
            super().__init__(network, *rest)

        def __call__(self, frames, state):
            seen.append(state["fam_8"].abs().amax(dim=(1, 2, 3)).gt(0).tolist())
            return super().__call__(frames, state)

    monkeypatch.setattr(accelerated, "Accelerated", Counted)
    items = [{"inputs": frames(1)[0], "data_samples": samples([("a", i)])[0]} for i in range(WARM_UP + SAMPLES)]
    preprocessor = {"type": "mmseg.SegDataPreProcessor", "mean": [0] * 3, "std": [1] * 3, "size_divisor": 1}
    network = FanetSegmentor(num_classes=3, tca_depth=2, data_preprocessor=preprocessor)

    class Frames:
        samples = (None,)

        def __getitem__(self, index):
            return items[0]

        def cost_items(self, count):
            return items[:count], "1 frame"

    scored, speed = Inference("fp32", "auto"), Inference("fp32", "openvino")
    protocol = Protocol("short", calls=SAMPLES, seconds=0.1, processes=1, warm=0.1, batches=(), whole=1)
    measured = cost.measure(network, Frames(), "cpu", scored, speed, protocol)
    assert made == [scored, speed, Inference("fp32", "eager")]
    passes = [seen[start : start + WARM_UP + SAMPLES] for start, filled in enumerate(seen) if filled == [False, False]]
    timed = [one for whole in passes if len(whole) == WARM_UP + SAMPLES for one in whole[WARM_UP:]]
    assert timed == [[True, True]] * len(timed)
    assert len(timed) >= 2 * SAMPLES
    assert len(measured.efficiency["latencies"]) == SAMPLES
    assert [line for line in measured.efficiency["doubts"] if "arithmetic" not in line] == []
    assert measured.efficiency["flops"] > 1e6
    assert measured.efficiency["path"] == measured.inference["path"] == "openvino-fp32"
    assert measured.inference["difference"]["pred_sem_seg.data"]["labels"] <= 0.01


@pytest.mark.parametrize("name", ["fanet18", "fanet34"])
def test_models_have_the_published_names_and_load_them_strictly(name, shared, tmp_path):
    suite = vs.load("driving_fanet")
    with (shared / "layouts" / f"{name}.csv").open() as file:
        rows = [(row["name"], row["shape"]) for row in csv.DictReader(file)]
    state = {n: torch.rand([int(s) for s in shape.split("x")] if shape else []) for n, shape in rows}
    state = {n: v.long() if n.endswith("num_batches_tracked") else v for n, v in state.items()}
    torch.save(state, tmp_path / "w.pth")
    network = suite.models[f"driving_fanet/{name}"].build(num_classes=19, weights=tmp_path / "w.pth").eval()
    kept = network.state_dict()
    assert list(kept) == [n for n, _ in rows]
    assert all(torch.equal(kept[n], state[n]) for n in state)
    with torch.no_grad():
        assert network(frames(1)).shape == (1, 19, 5, 6)
    del state["fam_4.w_qs.conv.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(VidsuiteError, match=r"fam_4\.w_qs\.conv\.weight"):
        suite.models[f"driving_fanet/{name}"].build(num_classes=19, weights=tmp_path / "w.pth")
