# YOWO (section 4.6): clips of 16 frames, the last one the key frame; stride 1 or 2 and augmentation alike for all frames.
_base_ = ['_key_frames.py']

data = dict(
    type='vidsuite.KeyFrameDataset',
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=16, stride=1, size='config://size'),
        dict(type='vidsuite.PackKeyFrame')])
training_data = dict(
    type='vidsuite.KeyFrameDataset',
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=16, stride=[1, 2], size='config://size'),
        dict(type='restaurant_yowo.Augment'),
        dict(type='vidsuite.PackKeyFrame')])

model = dict(type='restaurant_yowo.YowoDetector', num_classes='dataset', backbone_2d='darknet19')
train_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://training_data')
val_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://data')
