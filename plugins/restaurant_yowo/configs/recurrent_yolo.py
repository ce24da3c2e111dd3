# Recurrent YOLO (sections 4.1 to 4.4): YOLOv3 with ConvLSTMs, clips shuffled whole and fed in sub-sequences.
_base_ = ['yolov3.py']

training_data = dict(
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=1, size='config://size'),
        dict(type='mmdet.PackDetInputs', meta_keys='config://meta')])
meta = ('sample_id', 'img_id', 'sequence', 'position', 'ori_shape', 'img_shape', 'scale_factor')
model = dict(
    type='restaurant_yowo.RecurrentYolo',
    recurrence=dict(place='head', hidden=64, gated=True),
    bbox_head=dict(type='restaurant_yowo.RecurrentYoloHead'))
train_dataloader = dict(batch_size=8, batch_sampler=dict(type='restaurant_yowo.ClipLanes', length=4))
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)  # frames in order, in one process
