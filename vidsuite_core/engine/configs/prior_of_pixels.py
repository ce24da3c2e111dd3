"""The floor of segmentation: the most frequent class at each pixel of the training frames."""

custom_imports = {"imports": ["vidsuite_core.engine.floors"]}
default_scope = "mmseg"

size = None  # (width, height) of the frames that other models are scored at
read = {"type": "vidsuite.BlankFrame", "size": "config://size"}
pack = {"type": "vidsuite.PackFrame"}
model = {"type": "vidsuite.PixelPrior", "num_classes": "dataset"}
train_dataloader = {
    "batch_size": 1,
    "dataset": {"type": "vidsuite.FrameDataset", "pipeline": ["config://read", "config://pack"]},
}
test_dataloader = {
    "batch_size": 1,
    "dataset": {"type": "vidsuite.FrameDataset", "pipeline": ["config://read", "config://pack"], "lead": 8},
}
