"""I3D: padding, layout, lengths, weights, and its features through a back end."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidsuite_core.errors import VidsuiteError
from vidsuite_core.inference import accelerate
from vidsuite_core.inference.equality import difference
from vidsuite_core.networks.i3d import (
    InceptionI3d,
    SameMaxPool3d,
    build,
    output_steps,
    pad_same,
    pool_features,
    same_padding,
)

WEIGHTS = Path("weights", "i3d_rgb_kinetics400")
VIDEOS = Path("data", "jhmdb6_mini", "videos")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDSUITE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small layers on a busy machine wait for their second thread far longer than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- "SAME" padding -------------------------------------------------------------------------------


def taps(size: int, kernel: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Input index of each (output, tap) by TensorFlow's documented rule, and whether it is inside."""
    overhang = kernel - stride if size % stride == 0 else kernel - size % stride
    outputs = np.arange((size + stride - 1) // stride)
    index = outputs[:, None] * stride - max(overhang, 0) // 2 + np.arange(kernel)
    return index, (index >= 0) & (index < size)


def windows(x: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    """(C, T, H, W) -> (C, T', H', W', kt, kh, kw), with zeros for what lies outside."""
    (t, in_t), (h, in_h), (w, in_w) = (taps(*axis) for axis in zip(x.shape[1:], kernel, stride, strict=True))
    t, h, w = (index.clip(0, size - 1) for index, size in zip((t, h, w), x.shape[1:], strict=True))
    found = x[
        :,
        t[:, None, None, :, None, None],
        h[None, :, None, None, :, None],
        w[None, None, :, None, None, :],
    ]
    inside = (
        in_t[:, None, None, :, None, None] & in_h[None, :, None, None, :, None] & in_w[None, None, :, None, None, :]
    )
    return found * inside


SIZES = [(9, 8, 7), (10, 9, 12), (7, 14, 15), (16, 7, 8)]


def test_same_padding_puts_the_odd_element_after():
    assert same_padding((224, 60), (7, 7), (2, 2)) == [(2, 3), (2, 3)]
    assert same_padding((225, 59), (7, 7), (2, 2)) == [(3, 3), (3, 3)]
    assert same_padding((112, 113), (3, 3), (2, 2)) == [(0, 1), (1, 1)]
    assert same_padding((14, 15), (2, 2), (2, 2)) == [(0, 0), (0, 1)]
    assert same_padding((5,), (3,), (1,)) == [(1, 1)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [((7, 7, 7), (2, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((1, 3, 5), (1, 2, 3))])
def test_padded_convolution_is_the_sum_over_the_windows(size, kernel, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size)).astype(np.float32)
    weight = rng.standard_normal((4, 2, *kernel)).astype(np.float32)
    expected = np.einsum("cthwijk,ocijk->othw", windows(x, kernel, stride), weight)
    found = F.conv3d(pad_same(torch.from_numpy(x)[None], kernel, stride), torch.from_numpy(weight), stride=stride)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-4)


POOLS = [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (1, 1, 1))]


@pytest.mark.parametrize("size", [*SIZES, (1, 2, 1), (2, 3, 1)])
@pytest.mark.parametrize(("kernel", "stride"), POOLS)
def test_max_pools_are_the_maxima_of_the_windows(size, kernel, stride):
    x = np.random.default_rng(1).random((3, *size), dtype=np.float32)
    expected = torch.from_numpy(windows(x, kernel, stride).max(axis=(4, 5, 6)))
    pool = SameMaxPool3d(kernel, stride)
    assert torch.equal(pool(torch.from_numpy(x)[None])[0], expected)


# --- the network ----------------------------------------------------------------------------------


def test_names_and_shapes_are_the_reference_layout(shared):
    with (shared / "layouts" / "i3d.csv").open(newline="") as file:
        expected = [(row["name"], row["shape"]) for row in csv.DictReader(file)]
    with torch.device("meta"):
        state = InceptionI3d().state_dict()
    assert [(name, "x".join(map(str, value.shape))) for name, value in state.items()] == expected


def test_parameter_counts():
    with torch.device("meta"):
        network = InceptionI3d()
    assert sum(p.numel() for p in network.parameters()) == 12_697_264
    gammas = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.BatchNorm3d))
    assert gammas == 7_280  # what the Keras port, whose batch norm has no scale, lacks
    assert all(m.eps == 1e-3 for m in network.modules() if isinstance(m, nn.BatchNorm3d))


def test_steps_for_every_clip_length():
    with torch.device("meta"), torch.no_grad():
        network = InceptionI3d().eval()
        for frames in range(9, 61):
            steps = network(torch.empty(1, 3, frames, 224, 224)).shape[1]
            assert steps == output_steps(frames) == -(-frames // 8) - 1
        assert network.extract_features(torch.empty(2, 3, 60, 224, 224)).shape == (2, 7, 1024)
        assert network(torch.empty(2, 3, 60, 224, 224)).shape == (2, 7, 400)


def test_refuses_what_it_cannot_take():
    with torch.device("meta"):
        network = InceptionI3d()
        with pytest.raises(VidsuiteError, match=r"at least 9 frames and the clip has 8"):
            network(torch.empty(1, 3, 8, 224, 224))
        with pytest.raises(VidsuiteError, match=r"shape \(B, C, T, H, W\)"):
            network(torch.empty(3, 60, 224, 224))


def test_features_are_the_published_average_pool_and_any_map_is_averaged_whole():
    x = torch.rand(2, 1024, 4, 7, 7)
    published = F.avg_pool3d(x, (2, 7, 7), stride=1)[..., 0, 0].transpose(1, 2)
    torch.testing.assert_close(pool_features(x), published)
    x = torch.rand(1, 8, 2, 3, 11)
    torch.testing.assert_close(pool_features(x)[0, 0], x[0].mean(dim=(1, 2, 3)))


def lively(num_classes: int = 400) -> InceptionI3d:
    """Random weights with which every layer's activations keep their size and batch norms do something."""
    torch.manual_seed(0)
    network = InceptionI3d(num_classes).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.weight, 0.9, 1.1)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return network


def test_logits_are_the_classifier_of_the_features_and_drop_only_in_training():
    network = lively(5)
    x = torch.rand(2, 3, 17, 16, 16) * 2 - 1
    with torch.no_grad():
        features = network.extract_features(x)
        expected = F.linear(features, network.logits.conv3d.weight.flatten(1), network.logits.conv3d.bias)
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)
        network.dropout.train()
        assert not torch.allclose(network(x), expected, rtol=1e-2, atol=1e-2)


# --- building from a file -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return lively(2).state_dict()


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_builds_from_a_file_with_or_without_a_wrapper(tmp_path, state, wrapper):
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pt")
    built = build(tmp_path / "w.pt", num_classes=2)
    assert all(torch.equal(value, state[name]) for name, value in built.state_dict().items())


def test_builds_from_a_file_older_than_the_batch_counters(tmp_path, state):
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    built = build(str(tmp_path / "w.pt"), num_classes=2)
    assert torch.equal(built.Mixed_5c.b3b.bn.running_var, state["Mixed_5c.b3b.bn.running_var"])


def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, state):
    other = {f"module.{name}" if name.startswith("Mixed_3b.b0") else name: value for name, value in state.items()}
    torch.save(other, tmp_path / "w.pt")
    with pytest.raises(VidsuiteError) as caught:
        build(tmp_path / "w.pt")
    text = str(caught.value)
    assert f"weights {tmp_path / 'w.pt'} do not fit InceptionI3d" in text
    assert "5 missing (Mixed_3b.b0.conv3d.weight, Mixed_3b.b0.bn.weight, Mixed_3b.b0.bn.bias, ...)" in text
    assert "6 left over (module.Mixed_3b.b0.conv3d.weight," in text
    assert "2 of another shape (logits.conv3d.weight 2x1024x1x1x1 in place of 400x1024x1x1x1," in text


# --- features through a back end --------------------------------------------------------------------


class Features(nn.Module):
    def __init__(self, network: InceptionI3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.extract_features(x)


@torch.no_grad()
def test_one_conversion_serves_clips_of_every_length():
    """Padding depends on the length by its remainder of 8, three strides of 2: nine lengths in turn are all cases."""
    network = lively()
    x = torch.rand(1, 3, 25, 32, 48) * 2 - 1
    fast = accelerate(Features(network), x, precision="fp32", backend="openvino", varying={0: (0, 2)})
    for frames in [*range(9, 18), 25]:
        clips = torch.rand(1 + frames % 2, 3, frames, 32, 48) * 2 - 1
        off = difference([fast(clips)], [network.extract_features(clips)])
        assert off.within("fp32"), f"{frames} frames: {off}"
    assert len(fast._ready) == 1


# --- real weights and videos ----------------------------------------------------------------------


def read_clip(path: Path, frames: int = 40) -> Tensor:
    """(1, 3, T, 224, 224) in [-1, 1]: shorter side to 256, centre crop."""
    with av.open(str(path)) as video:
        images = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]
    x = torch.stack(images[:frames]).permute(0, 3, 1, 2).float()
    height, width = x.shape[2:]
    scale = 256 / min(height, width)
    x = F.interpolate(x, size=(round(height * scale), round(width * scale)), mode="bilinear", antialias=True)
    top, left = (x.shape[2] - 224) // 2, (x.shape[3] - 224) // 2
    return (x[..., top : top + 224, left : left + 224] / 127.5 - 1).transpose(0, 1)[None]


@pytest.fixture(scope="module")
def kinetics(shared) -> tuple[InceptionI3d, list[str]]:
    labels = (shared / WEIGHTS / "label_map.txt").read_text().splitlines()
    return build(shared / WEIGHTS / "i3d_rgb_scratch_kinetics400.pt").eval(), labels


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_real_clip_is_brushing_hair_by_a_back_end_too(shared, kinetics, precision):
    network, labels = kinetics
    clip = read_clip(
        shared / VIDEOS / "brush_hair" / "Silky_Straight_Hair_Original_brush_hair_h_nm_np1_ba_goo_0.avi", 16
    )
    with torch.no_grad():
        expected = network.extract_features(clip)
        assert labels[network(clip).mean(dim=1).argmax()] == "brushing hair"
    found = accelerate(Features(network), clip, precision=precision, backend="openvino")(clip)
    assert difference([found], [expected]).within(precision)
    assert (found - expected).norm() < (1e-5 if precision == "fp32" else 0.025) * expected.norm()
    assert F.cosine_similarity(found, expected, dim=2).min() > 0.9997


CLIPS = {
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0": "brushing hair",
    "clap/boomsnapclap!_clap_u_nm_np1_fr_med_1": "clapping",
    "pick/Search_and_Identify_Golf_Ball_-_www_mulliganplus_com_pick_f_nm_np1_le_goo_0": "golf chipping",
    "pour/Flaming_B52_Shot_Drink_pour_u_nm_np1_fr_med_0": "bartending",
    "push/Push_That_Car!_push_f_cm_np1_ri_med_0": "pushing car",
    "push/pushing_cart_push_f_cm_np1_le_bad_0": "pushing cart",
}


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "label"), CLIPS.items())
def test_real_clips_have_sensible_kinetics_classes(shared, kinetics, clip, label):
    network, labels = kinetics
    with torch.no_grad():
        scores = network(read_clip(shared / VIDEOS / f"{clip}.avi")).mean(dim=1)[0]
    assert labels[scores.argmax()] == label
