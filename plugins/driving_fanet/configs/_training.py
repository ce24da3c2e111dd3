# Data and training shared by all models: section 2.3, and what the paper's code does where the paper is silent
# (Adam at its default rate). Batches of 16 frames, 30 epochs; the last epoch is scored.
custom_imports = dict(imports=['vidsuite_plugins.driving_fanet.models'])
default_scope = 'mmseg'

selection = 'last'
size = None        # (width, height) to resize frames to; None keeps theirs
tca_depth = 0      # N: how many past frames' contexts are added
run = 8            # consecutive frames: 8 of 16 is mixed batching, 16 is homogeneous (2.3.2)
augment = []       # mmcv's and mmseg's transforms; the frames of a run are augmented alike
read = dict(type='vidsuite.ReadFrame', size='config://size')
pack = dict(type='vidsuite.PackFrame')

train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='vidsuite.SequenceBatches', run='config://run', context='config://tca_depth'),
    dataset=dict(
        type='vidsuite.FrameDataset',
        pipeline=['config://read', dict(type='mmcv.Compose', transforms='config://augment'), 'config://pack'],
        lead='config://tca_depth'))
# Streaming: frames one by one and in order. The lead matters where only some frames of a sequence are labelled.
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    dataset=dict(type='vidsuite.FrameDataset', pipeline=['config://read', 'config://pack'], lead=8))

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=1)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=5), logger=dict(type='LoggerHook', interval=10))
