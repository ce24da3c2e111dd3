"""Temporal context: what crosses which border, the ways to weigh the past, and streams against batches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vidsuite_core.errors import UsageError
from vidsuite_core.networks.runs import ages, counted, runs_of
from vidsuite_plugins.driving_fanet.models.context import SCALES
from vidsuite_plugins.driving_fanet.models.encoder import map_sizes
from vidsuite_plugins.driving_fanet.models.fanet import CONTEXTS, Fanet, temporal_context
from vidsuite_plugins.driving_fanet.models.memory import product
from vidsuite_plugins.driving_fanet.models.motion import spectrum, translation, visible
from vidsuite_plugins.driving_fanet.models.streaming import Stream

KINDS = sorted(CONTEXTS)


pytestmark = pytest.mark.usefixtures("one_thread", "seeded")


def fanet(depth: int, context: str = "sum") -> Fanet:
    """A network in eval mode whose learned weights, where it has some, are not those of plain addition."""
    network = Fanet(num_classes=4, tca_depth=depth, context=context).eval()
    for parameter in network.tca.parameters():
        parameter.data.add_(torch.rand_like(parameter) - 0.4)
    return network


def walk(frames: int, seed: int = 1) -> Tensor:
    """Frames (T, 3, 68, 72) of a textured world that moves by up to 4 pixels a frame.

    Smaller ones will not do: a 1x1 map's `up` is 3x3 with its border, of which the finer scale would see corners only.
    """
    generator = torch.Generator().manual_seed(seed)
    world = F.interpolate(torch.randn(1, 3, 60, 60, generator=generator), (240, 240), mode="bicubic")[0]
    places = (torch.randint(-4, 5, (frames, 2), generator=generator).cumsum(0) + 80).clamp(0, 160).tolist()
    return torch.stack([world[:, y : y + 68, x : x + 72] for y, x in places])


# --- runs -------------------------------------------------------------------------------------------------


def test_runs_are_neighbours_of_one_sequence_in_order():
    names = ["a", "a", "a", "b", "b", "a", "a", "c"]
    assert runs_of(names, [3, 4, 5, 6, 7, 8, 10, 11]) == [3, 2, 1, 1, 1]
    assert runs_of(["a", "a"], [5, 4]) == [1, 1]
    assert runs_of([], []) == []


def test_counted_frames_have_all_their_predecessors():
    assert counted([4, 2, 3], 2).tolist() == [False, False, True, True, False, False, False, False, True]
    assert counted([2, 1], 0).tolist() == [True, True, True]
    assert not counted([2, 2], 2).any()


def test_ages():
    assert ages([2, 1]).tolist() == [[0, -1, -1], [1, 0, -1], [-1, -1, 0]]
    with pytest.raises(UsageError, match="without frames"):
        ages([2, 0])


@pytest.mark.parametrize("context", KINDS)
def test_runs_must_add_up_to_the_batch(context: str):
    with pytest.raises(UsageError, match="runs add up to 5 frames and the batch has 4"):
        fanet(2, context)(torch.zeros(4, 3, 32, 32), [3, 2])


# --- borders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", KINDS)
def test_neither_context_nor_gradient_crosses_a_border(context: str):
    depth, runs = 2, [4, 3]
    network = fanet(depth, context)
    frames = torch.cat([walk(4), walk(3, seed=2)]).requires_grad_()
    logits = network(frames, runs)
    reached = ages(runs)
    for index in range(len(frames)):
        (gradient,) = torch.autograd.grad(logits[index].square().sum(), frames, retain_graph=True)
        found = gradient.flatten(1).abs().amax(dim=1) > 0
        assert found.tolist() == ((reached[index] >= 0) & (reached[index] <= depth)).tolist()


@pytest.mark.parametrize("context", KINDS)
@torch.no_grad()
def test_a_run_does_not_know_what_else_is_in_its_batch(context: str):
    network = fanet(2, context)
    one, other = walk(4), walk(3, seed=2)
    together = network(torch.cat([one, other]), [4, 3])
    apart = torch.cat([network(one, [4]), network(other, [3])])
    assert (together - apart).abs().max() <= 1e-5 * apart.abs().max()


@torch.no_grad()
def test_without_runs_no_frame_has_a_past():
    network = fanet(2)
    frames = walk(3)
    assert torch.equal(network(frames), network(frames, [1, 1, 1]))
    assert not torch.equal(network(frames), network(frames, [3]))


# --- the paper's sum --------------------------------------------------------------------------------------


def recall(kind: str, depth: int, runs: list[int], keys: Tensor, values: Tensor) -> Tensor:
    memory = temporal_context(kind, depth).batch(runs)
    memory.see(torch.zeros(len(keys), 3, 16, 16))
    return memory.recall("fam_8", keys, values, (3, 4))


def test_each_frame_has_its_own_sum():
    """The second defect of the paper's code: it added one sum to every frame of the batch."""
    keys, values = torch.randn(6, 32, 12), torch.randn(6, 5, 12)
    own = [k @ v.T for k, v in zip(keys, values, strict=True)]
    contexts = recall("sum", 2, [6], keys, values)
    for index, context in enumerate(contexts):
        expected = sum(own[max(index - 2, 0) : index + 1])
        assert torch.allclose(context, expected, atol=1e-5)
    assert torch.allclose(contexts[0], own[0], atol=1e-5)  # the notebook's changes with what comes later


def test_only_the_last_frame_of_a_run_of_n_and_1_is_the_notebooks():
    depth = 4
    keys, values = torch.randn(depth + 1, 32, 12), torch.randn(depth + 1, 5, 12)
    own = product(keys, values.transpose(1, 2))
    notebook = own + own[:-1].sum(dim=0)  # frames 0 .. N-1 into every frame of the batch
    contexts = recall("sum", depth, [depth + 1], keys, values)
    same = [torch.allclose(a, b, atol=1e-4) for a, b in zip(contexts, notebook, strict=True)]
    assert same == [False] * depth + [True]


@torch.no_grad()
def test_a_constant_stream_has_n_and_1_times_the_context():
    keys, values = torch.randn(1, 32, 12).expand(4, -1, -1), torch.randn(1, 5, 12).expand(4, -1, -1)
    contexts = recall("sum", 3, [4], keys, values)
    assert torch.allclose(contexts[3], 4 * contexts[0], atol=1e-4)


# --- other weights ----------------------------------------------------------------------------------------


def test_decay_and_learned_weights():
    keys, values = torch.randn(4, 32, 12), torch.randn(4, 5, 12)
    own = product(keys, values.transpose(1, 2))
    decayed = recall("decayed", 2, [4], keys, values)
    assert torch.allclose(decayed[3], own[3] + 0.5 * own[2] + 0.25 * own[1], atol=1e-5)
    assert torch.equal(recall("learned", 2, [4], keys, values), recall("sum", 2, [4], keys, values))
    learned = temporal_context("learned", 2)
    learned.weight["fam_8"].data.copy_(torch.tensor([3.0, -1.0]))
    memory = learned.batch([4])
    memory.see(torch.zeros(4, 3, 8, 8))
    assert torch.allclose(memory.recall("fam_8", keys, values, (3, 4))[3], own[3] + 3 * own[2] - own[1], atol=1e-4)


@pytest.mark.parametrize("context", [kind for kind in KINDS if kind != "sum"])
def test_weights_of_the_past_are_learned_at_every_scale(context: str):
    network = fanet(2, context)
    network(walk(4), [4]).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in network.tca.named_parameters()}
    assert len(gradients) == len(SCALES)
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values())


@pytest.mark.parametrize("move", [(0, 0), (6, -10), (-14, 4)])
def test_a_translation_is_found(move: tuple[int, int]):
    world = F.interpolate(torch.randn(1, 3, 50, 80), (200, 320), mode="bicubic")
    before = world[:, :, 40:168, 40:296]
    now = world[:, :, 40 - move[0] : 168 - move[0], 40 - move[1] : 296 - move[1]]  # content goes down by move[0]
    found = translation(spectrum(now), spectrum(before), (128, 256))[0] * torch.tensor([128, 256])
    assert found.tolist() == pytest.approx(move)


def test_frames_without_texture_do_not_move():
    flat = spectrum(torch.full((1, 3, 64, 64), 0.3))
    assert translation(flat, flat, (64, 64)).tolist() == [[0, 0]]


def test_what_has_left_the_view_is_masked():
    shown = visible(torch.tensor([[0.5, 0.0], [0.0, -0.25]]), (4, 8))
    assert shown[0].all(dim=1).tolist() == [True, True, False, False]  # moved down by half: the lower half is gone
    assert shown[1].all(dim=0).tolist() == [False, False, True, True, True, True, True, True]


def test_alignment_of_a_still_stream_is_plain_addition():
    frames = walk(1).expand(4, -1, -1, -1)
    network = fanet(3, "aligned")
    plain = Fanet(num_classes=4, tca_depth=3).eval()
    plain.load_reference({n: t for n, t in network.state_dict().items() if not n.startswith("tca.")}, "test")
    with torch.no_grad():
        expected = plain(frames, [4])
        assert (network(frames, [4]) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_joint_warp_of_keys_and_values_changes_nothing():
    keys, values = torch.randn(1, 32, 12), torch.randn(1, 5, 12)
    order = torch.randperm(12)
    warped = product(keys[:, :, order], values[:, :, order].transpose(1, 2))
    assert torch.allclose(warped, product(keys, values.transpose(1, 2)), atol=1e-5)


# --- streams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", KINDS)
@pytest.mark.parametrize("depth", [0, 1, 2, 4, 6])
@torch.no_grad()
def test_a_streams_contexts_are_the_batchs(context: str, depth: int):
    weigher = fanet(depth, context).tca
    frames = walk(45)
    state, batch = weigher.empty(frames[:1]), weigher.batch([len(frames)])
    sizes = dict(zip(SCALES, reversed(map_sizes(frames.shape[2:])), strict=True))
    maps = {
        scale: (torch.randn(45, 32, h * w), torch.randn(45, SCALES[scale], h * w)) for scale, (h, w) in sizes.items()
    }
    streamed = []
    for index in range(len(frames)):
        memory = weigher.stream(state)
        memory.see(frames[index : index + 1])
        now = slice(index, index + 1)
        streamed.append(
            [memory.recall(scale, keys[now], values[now], sizes[scale]) for scale, (keys, values) in maps.items()]
        )
        state = memory.after
    batch.see(frames)
    for found, (scale, (keys, values)) in zip(zip(*streamed, strict=True), maps.items(), strict=True):
        expected = batch.recall(scale, keys, values, sizes[scale])
        assert (torch.cat(found) - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize(("context", "depth"), [("sum", 0), ("sum", 6), ("decayed", 4), ("learned", 2), ("aligned", 1)])
@torch.no_grad()
def test_a_stream_equals_the_batch(context: str, depth: int):
    network = fanet(depth, context)
    frames = walk(42)
    expected = network(frames, [len(frames)])
    stream = Stream(network)
    streamed = torch.cat([stream.step(frame[None]) for frame in frames])
    assert (streamed - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize("context", KINDS)
@torch.no_grad()
def test_nothing_is_left_after_a_reset(context: str):
    network = fanet(3, context)
    frames = walk(5)
    stream = Stream(network)
    first = [stream.step(frame[None]) for frame in frames]
    for frame in walk(4, seed=3):
        stream.step(frame[None])
    stream.reset()
    again = [stream.step(frame[None]) for frame in frames]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("context", KINDS)
@torch.no_grad()
def test_streams_in_lock_step_do_not_mix(context: str):
    network = fanet(2, context)
    one, other = walk(5), walk(5, seed=2)
    stream = Stream(network)
    together = torch.stack([stream.step(torch.stack(pair)) for pair in zip(one, other, strict=True)])
    expected = torch.stack([network(one, [5]), network(other, [5])], dim=1)
    assert (together - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())
    with pytest.raises(UsageError, match="call reset first"):
        stream.step(one[:1])
    stream.reset()
    assert torch.equal(stream.step(one[:1]), network(one[:1]))


def test_a_long_stream_does_not_drift():
    context_of = temporal_context("sum", 3)
    own, state = [], {"fam_8": torch.zeros(3, 1, 32, 8)}
    for _ in range(3000):
        memory = context_of.stream(state)
        keys, values = torch.randn(1, 32, 4) * 1e3, torch.randn(1, 8, 4)
        context = memory.recall("fam_8", keys, values, (2, 2))
        state = memory.after
        own = [*own[-3:], product(keys, values.transpose(1, 2))]
    expected = sum(matrix.double() for matrix in own)
    assert (context - expected).abs().max() <= 2e-6 * expected.abs().max()


@pytest.mark.parametrize("size", [(64, 64), (68, 72), (61, 95), (512, 1024)])
def test_the_sizes_of_the_encoders_maps_are_known_beforehand(size: tuple[int, int]):
    with torch.device("meta"):
        maps = Fanet(num_classes=2).eval().resnet(torch.empty(1, 3, *size))
    assert map_sizes(size) == [tuple(one.shape[2:]) for one in maps]


@torch.no_grad()
def test_frames_may_change_their_size_within_a_stream_where_contexts_do_not_depend_on_it():
    for context, refused in [("sum", False), ("aligned", True)]:
        stream = Stream(fanet(2, context))
        stream.step(torch.randn(1, 3, 64, 64))
        if refused:
            with pytest.raises(UsageError, match="size changed within a stream; call reset first"):
                stream.step(torch.randn(1, 3, 64, 96))
        else:
            stream.step(torch.randn(1, 3, 64, 96))


def test_a_stream_needs_eval_mode():
    with pytest.raises(UsageError, match="eval mode"):
        Stream(Fanet(num_classes=3)).step(torch.zeros(1, 3, 32, 32))
