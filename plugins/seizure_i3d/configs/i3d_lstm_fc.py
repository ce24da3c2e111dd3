# The paper's model: I3D features of 2 s clips (section 3.4), LSTM-FC classifier (3.5), its training (3.5.1).
_base_ = ['_crop.py']
custom_imports = dict(imports=['vidsuite_plugins.seizure_i3d.models', 'vidsuite_plugins.seizure_i3d.crop.reader'])

selection = 'last'
paper_rule = 'best_on_test'  # 3.5.1: the moment of the highest F1 on the fold that is reported; a variant beside

data = dict(
    type='vidsuite.FeatureDataset',
    pipeline=['config://read'],
    extractor=dict(
        type='seizure_i3d.I3dFeatures', weights='weights://i3d_rgb_kinetics400', inference='config://inference',
        steps='config://steps', views='config://views'))

model = dict(
    type='seizure_i3d.LstmFc',
    num_classes='dataset',
    class_weights='balanced',
    loss='mse',
    lstm_units=(128, 64),
    fc_units=(64, 32),
    dropout=0.5,
    recurrent_dropout=0.3)

train_dataloader = dict(batch_size=500, dataset='config://data')
val_dataloader = dict(batch_size=500, dataset='config://data')
# 2000 epochs in batches of 500 (3.5.1) of the 2,250 clips that four of five folds have on average; looked at once an epoch.
train_cfg = dict(by_epoch=False, max_iters=9000, val_interval=5)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(type='LoggerHook', interval=50))

presets = dict(
    # A twentieth of the paper's samples, in smaller batches; so few steps end better with a falling rate.
    quick=dict(
        threads=1,
        train_dataloader=dict(batch_size=32),
        train_cfg=dict(max_iters=1000, val_interval=20),
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, T_max=1000)]))
