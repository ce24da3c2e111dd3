custom_imports = dict(imports=['vidsuite_toy_tasks.models'])
selection = 'last'
data = dict(
    type='vidsuite.KeyFrameDataset',
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=4, size=(40, 24), channels=1), dict(type='vidsuite.PackKeyFrame')])
model = dict(type='vidsuite_toy_tasks.models.TinyDetector', num_classes='dataset')
train_dataloader = dict(batch_size=8, dataset='config://data', sampler=dict(type='InfiniteSampler'))
test_dataloader = dict(batch_size=1, dataset='config://data')
train_cfg = dict(by_epoch=False, max_iters=60)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.05))
