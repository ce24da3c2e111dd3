"""The baselines: pooled logistic regression, a single frame, and I3D end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from vidsuite_core.errors import UsageError, VidsuiteError
from vidsuite_core.networks.i3d import InceptionI3d
from vidsuite_core.weights import load
from vidsuite_plugins.seizure_i3d.models.baselines import PooledLogReg, SingleFrameFc
from vidsuite_plugins.seizure_i3d.models.i3d_classifier import I3dClassifier, load_all_but_logits
from vidsuite_plugins.seizure_i3d.models.inception2d import Inception2d, collapse_to_2d


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are small: on a busy machine a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def samples(labels: list[int], frames: list[int] | None = None) -> list[BaseDataElement]:
    elements = []
    for n, label in enumerate(labels):
        element = BaseDataElement(metainfo={"sample_id": f"s{n}"} | ({"num_frames": frames[n]} if frames else {}))
        element.set_field(torch.tensor([label]), "gt_label")
        elements.append(element)
    return elements


def scores_of(model: nn.Module, inputs: Tensor) -> Tensor:
    predicted = model.val_step({"inputs": inputs, "data_samples": samples([0] * len(inputs))})
    return torch.stack([sample.pred_score for sample in predicted])


def clouds(classes: int, per_class: int) -> tuple[Tensor, Tensor]:
    """Features (N, 7, 12) of separable classes; two in three sequences are masked for 1 or 2 steps."""
    labels = torch.arange(classes).repeat(per_class)
    x = 0.5 * torch.randn(len(labels), 7, 12)
    x[torch.arange(len(labels)), :, labels] += 3
    x[1::3, :1] = -1
    x[2::3, :2] = -1
    return x, labels


class TestPooledLogReg:
    @pytest.mark.parametrize("classes", [2, 3])
    def test_learns_separable_classes_and_survives_a_checkpoint(self, classes):
        torch.manual_seed(0)
        config = {"type": "seizure_i3d.PooledLogReg", "in_channels": 12, "num_classes": classes}
        model = MODELS.build(config).eval()
        x, labels = clouds(classes, 40)
        model.fit_features(x, labels)
        scores = scores_of(model, x)
        assert scores.shape == (len(x), classes)
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(x)))
        assert (scores.argmax(dim=1) == labels).float().mean() > 0.95
        other = MODELS.build(config).eval()
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(scores_of(other, x), scores, rtol=0, atol=0)

    def test_equals_scikit_learn_on_the_means_of_valid_steps(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        torch.manual_seed(1)
        x, labels = torch.randn(60, 7, 12), torch.arange(60) % 4 // 3
        x[::2, :3] = -1
        x[:, :, 5] = torch.where(x[:, :, 5] == -1, -1, 0.25)
        model = PooledLogReg(in_channels=12, C=0.3)
        model.fit_features(x, labels)
        pooled = np.stack([clip[3 * (n % 2 == 0) :].mean(axis=0) for n, clip in enumerate(x.double().numpy())])
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced"))
        expected = pipeline.fit(pooled, labels.numpy()).predict_proba(pooled)
        np.testing.assert_allclose(scores_of(model, x), expected, atol=1e-4)

    def test_says_what_it_lacks(self):
        model = PooledLogReg(in_channels=12)
        x, labels = clouds(2, 5)
        with pytest.raises(UsageError, match="not fitted"):
            model(x)
        with pytest.raises(UsageError, match="leave train_cfg out"):
            model(x, samples(labels.tolist()), mode="loss")
        with pytest.raises(VidsuiteError, match=r"labels \[1\] are without"):
            model.fit_features(x, torch.zeros_like(labels))
        with pytest.raises(VidsuiteError, match=r"labels \[2\] are without a training sample or beyond"):
            model.fit_features(x, torch.arange(len(x)) % 3)
        x[4] = -1
        with pytest.raises(VidsuiteError, match="only masked steps"):
            model.fit_features(x, labels)


class TestSingleFrameFc:
    def test_learns_separable_classes_and_survives_a_checkpoint(self):
        torch.manual_seed(2)
        config = {"type": "seizure_i3d.SingleFrameFc", "in_channels": 12, "bn_momentum": 0.2}
        model = MODELS.build(config | {"dropout": 0.1, "class_weights": [1.0, 1.5]})
        x, labels = clouds(2, 40)
        x = x[:, 3:4]
        wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=0.02))
        batch = {"inputs": list(x), "data_samples": samples(labels.tolist())}
        for _ in range(40):
            log = model.train_step(batch, wrapper)
        assert set(log) == {"loss", "loss_cls", "loss_l2"}
        scores = scores_of(model.eval(), x)
        assert (scores.argmax(dim=1) == labels).float().mean() > 0.95
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(x)))
        other = MODELS.build(config).eval()
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(scores_of(other, x), scores, rtol=0, atol=0)

    def test_has_the_head_of_the_paper_and_takes_one_frame(self):
        model = SingleFrameFc()
        assert sum(p.numel() for p in model.parameters()) == 1024 * 64 + 64 + 64 * 32 + 32 + 33 + 2 * (64 + 32)
        with pytest.raises(VidsuiteError, match=r"\(B, 1, C\), not \(2, 7, 1024\)"):
            model(torch.zeros(2, 7, 1024))


def settled_i3d(num_classes: int = 400) -> InceptionI3d:
    """Random weights whose activations keep their size, and batch norms that do something."""
    network = InceptionI3d(num_classes).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return network


def map_of(layer: nn.Module, run) -> Tensor:
    """The output of `layer` while `run` runs."""
    seen = []
    handle = layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        run()
    handle.remove()
    return seen[0]


class TestInception2d:
    def test_equals_i3d_on_a_still_video_away_from_its_ends(self):
        """I3D's last map sees 99 frames, and zeros beyond the clip: of 128 frames only the middle steps see none."""
        torch.manual_seed(3)
        i3d, flat = settled_i3d(), Inception2d().eval()
        flat.load_state_dict(collapse_to_2d(i3d.state_dict()))
        frame = 2 * torch.rand(1, 3, 40, 33) - 1
        still = frame.unsqueeze(2).expand(-1, -1, 128, -1, -1)
        volume = map_of(i3d.Mixed_5c, lambda: i3d.extract_features(still))
        image = map_of(flat.Mixed_5c, lambda: flat(frame))
        assert volume.shape == (1, 1024, 16, 2, 2) and image.shape == (1, 1024, 2, 2)
        error = (volume - image.unsqueeze(2)).abs().amax(dim=(0, 1, 3, 4)) / image.abs().max()
        assert error[7:9].max() < 1e-5
        assert error[0] > 1e-3 and error[-1] > 1e-3, "the ends see the padding in time"

    def test_names_are_those_of_i3d(self):
        expected = {n.replace("onv3d", "onv2d") for n in InceptionI3d().state_dict() if not n.startswith("logits")}
        assert set(Inception2d().state_dict()) == expected
        with pytest.raises(VidsuiteError, match=r"a\.conv3d\.weight has shape"):
            collapse_to_2d({"a.conv3d.weight": torch.zeros(2, 2, 3, 3)})

    @pytest.mark.slow
    def test_kinetics_features_of_a_still_video_are_the_frames(self, shared: Path):
        state = load(shared / "weights" / "i3d_rgb_kinetics400" / "i3d_rgb_scratch_kinetics400.pt")
        i3d, flat = InceptionI3d().eval(), Inception2d().eval()
        i3d.load_state_dict(state)
        flat.load_state_dict(collapse_to_2d(state))
        coarse = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
        frame = 2 * nn.functional.interpolate(coarse, (224, 224), mode="bilinear") - 1
        with torch.no_grad():
            clip = i3d.extract_features(frame.unsqueeze(2).expand(-1, -1, 128, -1, -1))
            torch.testing.assert_close(clip[:, 7], flat(frame), atol=1e-4, rtol=1e-4)


class TestI3dClassifier:
    def test_learns_to_tell_bright_from_dark_and_survives_a_checkpoint(self):
        torch.manual_seed(4)
        config = {"type": "seizure_i3d.I3dClassifier", "dropout": 0.0, "class_weights": [1.0, 2.0]}
        model = MODELS.build(config)
        model.backbone.load_state_dict(settled_i3d(2).state_dict())
        labels = [0, 1] * 2
        clips = torch.rand(4, 3, 9, 32, 32) - torch.tensor(labels).view(4, 1, 1, 1, 1)
        wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-4))
        for _ in range(8):
            log = model.train_step({"inputs": list(clips), "data_samples": samples(labels)}, wrapper)
        assert set(log) == {"loss", "loss_cls"}
        scores = scores_of(model.eval(), clips)
        assert (scores.argmax(dim=1) == torch.tensor(labels)).float().mean() > 0.95
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(4))
        other = MODELS.build(config).eval()
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(scores_of(other, clips), scores, rtol=0, atol=0)

    @pytest.mark.parametrize("bn_statistics", ["frozen", "batch"])
    def test_gradients_reach_the_first_layer_and_statistics_follow_the_option(self, bn_statistics):
        torch.manual_seed(6)
        model = I3dClassifier(bn_statistics=bn_statistics)
        model.backbone.load_state_dict(settled_i3d(2).state_dict())
        model.train()
        bn = model.backbone.Mixed_5c.b0.bn
        before = bn.running_mean.clone()
        model(torch.rand(2, 3, 9, 32, 32), samples([0, 1]), mode="loss")["loss_cls"].backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        assert torch.equal(bn.running_mean, before) == (bn_statistics == "frozen")

    def test_averages_the_steps_of_a_clips_own_frames(self):
        torch.manual_seed(5)
        model = I3dClassifier(num_classes=3).eval()
        model.backbone = settled_i3d(3)
        clips = torch.rand(2, 3, 33, 32, 32)
        with torch.no_grad():
            steps = model.backbone(clips)
            logits = model(clips, samples([0, 0], frames=[33, 18]))
            assert steps.shape == (2, 4, 3)
            torch.testing.assert_close(logits[0], steps[0].mean(dim=0))
            torch.testing.assert_close(logits[1], steps[1, :2].mean(dim=0))
            torch.testing.assert_close(model(clips)[1], steps[1].mean(dim=0))
        for frames in ([33, 34], [8, 33]):
            with pytest.raises(VidsuiteError, match="must lie in 9 to the batch's 33 frames"):
                model(clips, samples([0, 0], frames=frames))

    def test_a_batch_of_unlike_lengths_is_padded_with_the_last_frame(self):
        short, long = torch.rand(3, 10, 4, 4), torch.rand(3, 12, 4, 4)
        batch = I3dClassifier().collate([short, long])
        assert batch.shape == (2, 3, 12, 4, 4)
        assert (batch[0, :, :10] == short).all() and (batch[1] == long).all()
        assert (batch[0, :, 10:] == short[:, -1:]).all()

    def test_frozen_layers_keep_weights_and_statistics(self):
        model = I3dClassifier(freeze_until="Mixed_4f", bn_statistics="batch").train()
        trained = {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
        assert trained == {"Mixed_5b", "Mixed_5c", "logits"}
        assert not model.backbone.Mixed_4f.b0.bn.training and model.backbone.Mixed_5b.b0.bn.training
        assert model.backbone.dropout.training

        model = I3dClassifier(freeze_until="Mixed_5c").train()
        assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm3d))
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {
            "backbone.logits.conv3d.weight",
            "backbone.logits.conv3d.bias",
        }

    def test_wrong_settings_are_refused(self):
        with pytest.raises(VidsuiteError, match="freeze_until 'Mixed_9z' is not a layer"):
            I3dClassifier(freeze_until="Mixed_9z")
        with pytest.raises(VidsuiteError, match="bn_statistics 'none' is unknown"):
            I3dClassifier(bn_statistics="none")

    def test_pretrained_weights_fill_all_but_the_classifier(self, tmp_path: Path):
        donor, path = InceptionI3d(7), tmp_path / "i3d.pt"
        torch.save(donor.state_dict(), path)
        model = I3dClassifier(num_classes=2, pretrained=path)
        for name, value in donor.state_dict().items():
            if not name.startswith("logits."):
                torch.testing.assert_close(model.backbone.state_dict()[name], value, rtol=0, atol=0)
        assert model.backbone.logits.conv3d.weight.shape[0] == 2
        state = donor.state_dict()
        del state["Mixed_5c.b0.bn.bias"]
        torch.save(state, path)
        with pytest.raises(VidsuiteError, match=r"Mixed_5c\.b0\.bn\.bias"):
            load_all_but_logits(InceptionI3d(2), path)
