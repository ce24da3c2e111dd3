# Networks of phases by frame. Gomez et al. train on 224 pixels; batches here are a few recordings with some frames each.
custom_imports = dict(imports=['vidsuite_plugins.embryo_timelapse.phases.models', 'vidsuite_plugins.embryo_timelapse.phases.reading'])

selection = 'last'
size = 224
frames = 16         # of each recording of a batch, in training
draw = 'run'        # frames that follow on one another; 'spread' takes them from all of the recording
read = dict(type='embryo_timelapse.ReadPhases', size='config://size')
pack = dict(type='embryo_timelapse.PackPhases')
model = dict(type='embryo_timelapse.PhaseNet', num_classes='dataset', pretrained='weights://resnet18_imagenet')

train_dataloader = dict(
    batch_size=8, num_workers=2, persistent_workers=True,
    dataset=dict(
        type='embryo_timelapse.PhasesDataset',
        pipeline=[dict(type='embryo_timelapse.ReadPhases', size='config://size', frames='config://frames', draw='config://draw'),
                  dict(type='embryo_timelapse.TurnPhases'), 'config://pack']))
val_dataloader = dict(
    batch_size=1, num_workers=2, persistent_workers=True,
    dataset=dict(type='embryo_timelapse.PhasesDataset', pipeline=['config://read', 'config://pack']))
train_cfg = dict(by_epoch=False, max_iters=10000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-4, weight_decay=1e-4))
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(type='LoggerHook', interval=20))

_small = dict(num_workers=0, persistent_workers=False)
presets = dict(
    quick=dict(
        size=64, train_dataloader=dict(batch_size=4, **_small), val_dataloader=_small, train_cfg=dict(max_iters=150),
        param_scheduler=[dict(type='OneCycleLR', eta_max=1e-3, total_steps=150, by_epoch=False)]))
