# Baseline: the mean of a clip's I3D features, and logistic regression. Fitted in one go: no train_cfg.
_base_ = ['_crop.py']
custom_imports = dict(imports=['vidsuite_plugins.seizure_i3d.models', 'vidsuite_plugins.seizure_i3d.crop.reader'])

data = dict(
    type='vidsuite.FeatureDataset',
    pipeline=['config://read'],
    extractor=dict(
        type='seizure_i3d.I3dFeatures', weights='weights://i3d_rgb_kinetics400', inference='config://inference',
        steps='config://steps', views='config://views'))

model = dict(type='seizure_i3d.PooledLogReg', num_classes='dataset', C=0.01)
train_dataloader = dict(batch_size=500, dataset='config://data')
val_dataloader = dict(batch_size=500, dataset='config://data')
