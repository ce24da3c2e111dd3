custom_imports = dict(imports=['vidsuite_toy_tasks.models'])
selection = 'last'
data = dict(
    type='vidsuite.MomentsDataset',
    pipeline=[
        dict(type='vidsuite.ReadMoments', size=8, planes=3, draw='random'),
        dict(type='vidsuite.PackMoments', mean=128, std=64)])
model = dict(type='vidsuite_toy_tasks.models.TinyMoments')
train_dataloader = dict(batch_size=4, dataset='config://data', sampler=dict(type='InfiniteSampler'))
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='vidsuite.MomentsDataset',
        pipeline=[
            dict(type='vidsuite.ReadMoments', size=8, planes=3),
            dict(type='vidsuite.PackMoments', mean=128, std=64)]))
train_cfg = dict(by_epoch=False, max_iters=60)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.05))
