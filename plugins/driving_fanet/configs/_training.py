# Data and training shared by all models: section 2.3, and what the paper's code does where the paper is silent (Adam at
# its default rate). Steps are counted, each of 16 labelled frames, whatever N or the batching: rows differ in what they
# are about and in nothing else. The last step is scored.
custom_imports = dict(imports=['vidsuite_plugins.driving_fanet.models'])
default_scope = 'mmseg'

selection = 'last'
size = None        # (width, height) to resize frames to; None keeps theirs
tca_depth = 0      # N: how many past frames' contexts are added
mixed = 1          # labelled frames a run in mixed batches: 1 of 16, each after its own N frames, as in the paper's code
run = 'config://mixed'
skip = 6           # frames of a sequence's beginning that train nothing for any N: the deepest row has no context for them
num_classes = 'dataset'
balance = None         # "median_frequency" weighs classes by it
class_weights = None   # filled in by `balance`
loss_at = 'logits'     # where the loss is taken: at 1/8, or at the "frame", logits enlarged
aux_weight = 0         # of FANet's auxiliary losses, which its authors train with (0.5); the paper has none
adapt = 'vidsuite_plugins.driving_fanet.models.losses:balance'
augment = []       # mmcv's and mmseg's transforms; the frames of a run are augmented alike
read = dict(type='vidsuite.ReadFrame', size='config://size')
pack = dict(type='vidsuite.PackFrame')

train_dataloader = dict(
    batch_size=16,   # labelled frames a step
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=dict(
        type='vidsuite.SequenceBatches', run='config://run', context='config://tca_depth', skip='config://skip'),
    dataset=dict(
        type='vidsuite.FrameDataset',
        pipeline=['config://read', dict(type='mmcv.Compose', transforms='config://augment'), 'config://pack'],
        lead='config://tca_depth'))
# Streaming: frames one by one and in order. The lead matters where only some frames of a sequence are labelled.
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    dataset=dict(type='vidsuite.FrameDataset', pipeline=['config://read', 'config://pack'], lead=8))

# 30 epochs (2.3.1) of the 6,950 training frames that the paper's code loads for N = 0, of which an epoch has 434 steps.
train_cfg = dict(by_epoch=False, max_iters=13020, val_interval=434)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(type='LoggerHook', interval=10))
