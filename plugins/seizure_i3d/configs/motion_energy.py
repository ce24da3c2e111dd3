# Baseline: how much changes from frame to frame, without order or place, and logistic regression.
_base_ = ['_crop.py']
custom_imports = dict(imports=['vidsuite_plugins.seizure_i3d.models', 'vidsuite_plugins.seizure_i3d.crop.reader'])

read = dict(fps=None, size=112, cached=True)  # frames as recorded: what lies between them has no energy of its own
data = dict(type='vidsuite.ClipDataset', pipeline=['config://read', dict(type='seizure_i3d.Measure', measure='energy')])
model = dict(type='seizure_i3d.MeasureClassifier', kind='logistic', num_classes='dataset')
train_dataloader = dict(batch_size=500, dataset='config://data')
val_dataloader = dict(batch_size=500, dataset='config://data')
