# I3D fine-tuned end to end, which the paper names as future work (section 5). The recipe is ours.
_base_ = ['_crop.py']
custom_imports = dict(imports=['vidsuite_plugins.seizure_i3d.models', 'vidsuite_plugins.seizure_i3d.crop.reader'])

selection = 'last'
paper_rule = 'best_on_test'

data = dict(
    type='vidsuite.ClipDataset',
    pipeline=['config://read', dict(type='vidsuite.PackClip')])
read = dict(cached=True)

model = dict(
    type='seizure_i3d.I3dClassifier',
    num_classes='dataset',
    class_weights='balanced',
    pretrained='weights://i3d_rgb_kinetics400',
    freeze_until='Mixed_4f')

train_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://data')
val_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://data')
train_cfg = dict(by_epoch=False, max_iters=5600, val_interval=280)   # 20 times through the paper's training clips
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4), clip_grad=dict(max_norm=10))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=5600)]
default_hooks = dict(checkpoint=dict(interval=280), logger=dict(type='LoggerHook', interval=20))

presets = dict(
    quick=dict(
        train_cfg=dict(max_iters=64, val_interval=32),
        train_dataloader=dict(batch_size=4),
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False, T_max=64)]))
