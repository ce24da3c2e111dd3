# What all networks share (section 4): AdamW at a fixed rate, cross entropy, colour jitter, random crop, rotation, flip.
custom_imports = dict(imports=['vidsuite_plugins.blastocyst_dnn.models.classifier', 'vidsuite_plugins.blastocyst_dnn.data'])

selection = 'last'
until = 80          # hours that are seen; 24, 48, 72, ... to predict earlier
field = 1.0         # share of the frame about its middle that is kept
augment = dict(type='blastocyst_dnn.Augment')
read = dict(type='blastocyst_dnn.ReadTimelapse', size='config://size', frames='config://frames', until='config://until', field='config://field', cached=True)
pack = dict(type='vidsuite.PackClip', mean=114.5, std=57.6)   # ImageNet's, as grey

model = dict(type='blastocyst_dnn.Classifier', num_classes='dataset')

train_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True,
    dataset=dict(type='vidsuite.ClipDataset', pipeline=['config://read', 'config://augment', 'config://pack']))
val_dataloader = dict(
    batch_size=16, num_workers=2, persistent_workers=True,
    dataset=dict(type='vidsuite.ClipDataset', pipeline=['config://read', 'config://pack']))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-5))
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(type='LoggerHook', interval=20))

# Draws that two cores can do: all networks alike in steps, batch, size and schedule; only what they see differs.
_small = dict(num_workers=0, persistent_workers=False, batch_size=8)
presets = dict(
    quick=dict(
        size=32, field=0.7, train_dataloader=_small, val_dataloader=_small, train_cfg=dict(max_iters=150),
        param_scheduler=[dict(type='OneCycleLR', eta_max=1e-3, total_steps=150, by_epoch=False)]),
    medium=dict(
        size=64, field=0.7, train_dataloader=_small, val_dataloader=_small, train_cfg=dict(max_iters=300),
        param_scheduler=[dict(type='OneCycleLR', eta_max=1e-3, total_steps=300, by_epoch=False)]))
