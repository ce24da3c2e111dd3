"""The floor of tasks whose samples have one class each: the share of each class among the training samples."""

custom_imports = {"imports": ["vidsuite_core.engine.floors"]}

data = {"type": "vidsuite.LabelDataset"}
model = {"type": "vidsuite.ClassPrior", "num_classes": "dataset"}
train_dataloader = {"batch_size": 1, "dataset": "config://data"}
test_dataloader = {"batch_size": 1, "dataset": "config://data"}
