# YOLOv3 (section 4.3): mmdet's, on key frames alone.
_base_ = ['_key_frames.py']

_meta = ('sample_id', 'img_id', 'sequence', 'position', 'ori_shape', 'img_shape', 'scale_factor')
data = dict(
    type='vidsuite.KeyFrameDataset',
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=1, size='config://size'),
        dict(type='mmdet.PackDetInputs', meta_keys=_meta)])
training_data = dict(
    type='vidsuite.KeyFrameDataset',
    pipeline=[
        dict(type='vidsuite.ReadKeyFrame', length=1, size='config://size'),
        dict(type='restaurant_yowo.Augment'),
        dict(type='mmdet.PackDetInputs', meta_keys=_meta)])

model = dict(
    type='mmdet.YOLOV3',
    data_preprocessor=dict(type='mmdet.DetDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255], pad_size_divisor=32),
    backbone=dict(type='Darknet', depth=53, out_indices=(3, 4, 5)),
    neck=dict(type='YOLOV3Neck', num_scales=3, in_channels=[1024, 512, 256], out_channels=[512, 256, 128]),
    bbox_head=dict(
        type='YOLOV3Head',
        num_classes='dataset',
        in_channels=[512, 256, 128],
        out_channels=[1024, 512, 256],
        anchor_generator=dict(
            type='YOLOAnchorGenerator',
            base_sizes=[[(116, 90), (156, 198), (373, 326)], [(30, 61), (62, 45), (59, 119)], [(10, 13), (16, 30), (33, 23)]],
            strides=[32, 16, 8]),
        bbox_coder=dict(type='YOLOBBoxCoder'),
        featmap_strides=[32, 16, 8],
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_conf=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0, reduction='sum'),
        loss_xy=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=2.0, reduction='sum'),
        loss_wh=dict(type='MSELoss', loss_weight=2.0, reduction='sum')),
    train_cfg=dict(assigner=dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)),
    test_cfg=dict(nms_pre=1000, min_bbox_size=0, score_thr=0.005, conf_thr=0.005, nms=dict(type='nms', iou_threshold=0.45), max_per_img=100))
train_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://training_data')
val_dataloader = dict(batch_size=8, num_workers=2, persistent_workers=True, dataset='config://data')
