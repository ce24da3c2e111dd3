"""Clips seen from several sides: which, what networks are trained on, and how answers are put together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidsuite_core.errors import UsageError
from vidsuite_plugins.seizure_i3d.models.baselines import PooledLogReg, SingleFrameFc
from vidsuite_plugins.seizure_i3d.models.features import FrameFeatures
from vidsuite_plugins.seizure_i3d.models.lstm_fc import LstmFc
from vidsuite_plugins.seizure_i3d.models.views import one_view, over_views, seen_from


def test_eight_sides_of_a_square():
    clip = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 1)
    sides = [seen_from(clip, view) for view in range(8)]
    assert np.array_equal(sides[0], clip)
    assert np.array_equal(sides[4], clip[:, :, ::-1])
    assert np.array_equal(sides[2], clip[:, ::-1, ::-1])
    assert len({side.tobytes() for side in sides}) == 8
    assert all(sorted(side[1].ravel()) == sorted(clip[1].ravel()) for side in sides)  # frames stay what they are


def test_extractors_stack_views_and_say_so_in_their_key():
    clips = [np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), dtype=np.uint8)]
    plain, both = FrameFeatures(), FrameFeatures(views=(0, 4))
    (alone,) = plain.extract(clips)
    (two,) = both.extract(clips)
    (mirrored,) = plain.extract([clips[0][:, :, ::-1]])
    assert two.shape == (2, 1, 1024)
    nearly = {"rtol": 1e-3, "atol": 1e-3 * float(alone.max())}
    assert np.allclose(two[0], alone, **nearly)
    assert np.allclose(two[1], mirrored, **nearly)
    assert not np.allclose(two[0], two[1], **nearly)
    assert "views" not in plain.key()
    assert both.key() == {**plain.key(), "views": [0, 4]}
    for views in ([], [0, 0], [8]):
        with pytest.raises(UsageError, match="from 0 to 7"):
            FrameFeatures(views=views)


def test_training_draws_a_view_and_answers_are_their_mean():
    torch.manual_seed(0)
    inputs = torch.arange(200.0)[:, None, None, None].expand(200, 3, 2, 4) + 1000 * torch.arange(3.0)[:, None, None]
    drawn = one_view(inputs)
    assert drawn.shape == (200, 2, 4)
    assert torch.equal(drawn[:, 0, 0] % 1000, torch.arange(200.0))
    assert set((drawn[:, 0, 0] // 1000).tolist()) == {0, 1, 2}
    assert torch.equal(one_view(inputs[:, 1]), inputs[:, 1])
    means = over_views(lambda x: x[:, 0, :1], inputs)
    assert torch.equal(means[:, 0], torch.arange(200.0) + 1000)


@pytest.mark.parametrize("kind", [LstmFc, SingleFrameFc])
def test_networks_take_views(kind):
    torch.manual_seed(0)
    model = kind(in_channels=12).eval()
    inputs = torch.randn(5, 2, 1, 12)
    with torch.no_grad():
        each = torch.stack([model.logits(inputs[:, view]) for view in (0, 1)])
        assert torch.allclose(model.logits(inputs), each.mean(0), atol=1e-6)


def test_logistic_regression_takes_each_view_for_a_sample():
    torch.manual_seed(0)
    labels = torch.arange(2).repeat(10)
    inputs = torch.randn(20, 2, 3, 12) + 3 * labels[:, None, None, None]
    model, flat = PooledLogReg(12), PooledLogReg(12)
    model.fit_features(inputs, labels)
    flat.fit_features(torch.cat([inputs[:, 0], inputs[:, 1]]), labels.repeat(2))
    assert torch.allclose(model.coef, flat.coef, atol=1e-4)
    assert (model.logits(inputs)[:, 0] > 0).long().tolist() == labels.tolist()
