custom_imports = dict(imports=['vidsuite_toy_tasks.models'])
selection = 'last'
size = (16, 12)
data = dict(
    type='vidsuite.FrameDataset',
    pipeline=[dict(type='vidsuite.ReadFrame', size='config://size'), dict(type='vidsuite.PackFrame')])
model = dict(type='vidsuite_toy_tasks.models.TinySegmentor', num_classes='dataset')
train_dataloader = dict(batch_size=8, dataset='config://data', sampler=dict(type='InfiniteSampler'))
test_dataloader = dict(batch_size=1, dataset='config://data')
train_cfg = dict(by_epoch=False, max_iters=60)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.05))
