# The paper's model: I3D features of 2 s clips (section 3.4), LSTM-FC classifier (3.5), its training (3.5.1).
_base_ = ['_crop.py']
custom_imports = dict(imports=['vidsuite_plugins.seizure_i3d.models', 'vidsuite_plugins.seizure_i3d.crop.reader'])

selection = 'last'
paper_rule = 'best_on_test'  # 3.5.1: the epoch of the highest F1 on the fold that is reported; a variant beside

data = dict(
    type='vidsuite.FeatureDataset',
    pipeline=[dict(type='seizure_i3d.ReadCropped', size=224, crop='config://crop')],  # 3.3.2
    extractor=dict(
        type='seizure_i3d.I3dFeatures', weights='weights://i3d_rgb_kinetics400', precision='auto', steps=7))

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
train_cfg = dict(by_epoch=True, max_epochs=2000, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
default_hooks = dict(checkpoint=dict(interval=100), logger=dict(type='LoggerHook', interval=50))

presets = dict(
    # A twentieth of the paper's samples and epochs: smaller batches keep the number of steps in reach, and the
    # running statistics of batch norm must follow faster.
    quick=dict(
        threads=1,
        train_dataloader=dict(batch_size=32),
        train_cfg=dict(max_epochs=60),
        model=dict(bn_momentum=0.1)))
