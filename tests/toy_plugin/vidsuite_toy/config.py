custom_imports = dict(imports=['vidsuite_toy.model'])
selection = 'last'
paper_rule = 'best_on_test'
data = dict(
    type='vidsuite.ClipDataset',
    pipeline=[dict(type='vidsuite.ReadClip', size=32), dict(type='vidsuite.PackClip')])
model = dict(type='vidsuite_toy.model.Tiny', num_classes='dataset')
train_dataloader = dict(batch_size=4, dataset='config://data')
val_dataloader = dict(batch_size=4, dataset='config://data')
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01))
default_hooks = dict(checkpoint=dict(interval=1))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
