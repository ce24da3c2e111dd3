# What all recipes share: key frames, clips that end in them, and the budget.
custom_imports = dict(imports=[
    'vidsuite_plugins.restaurant_yowo.models', 'vidsuite_plugins.restaurant_yowo.transforms',
    'vidsuite_plugins.restaurant_yowo.lanes'])
default_scope = 'mmdet'

selection = 'last'
anchors = 'kmeans'  # sections 4.3 and 4.6; 'published' are the detectors' own
adapt = 'vidsuite_plugins.restaurant_yowo.anchors:adapt'
size = 224

train_cfg = dict(by_epoch=False, max_iters=5000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-4, weight_decay=5e-4), clip_grad=dict(max_norm=20))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, T_max=4800)]
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(type='LoggerHook', interval=50))

presets = dict(
    quick=dict(
        size=128,
        train_cfg=dict(max_iters=60),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=10),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=10, T_max=50)]))
