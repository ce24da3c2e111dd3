# A baseline without attention or fusion: one FCN head on ResNet-18 at 1/32, both mmseg's.
_base_ = ['mmseg::_base_/models/fcn_r50-d8.py', '_training.py']

loss = dict(_delete_=True, type='driving_fanet.VoidCrossEntropy', class_weights='config://class_weights')
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False, size_divisor=1),
    pretrained='weights://resnet18_imagenet',
    backbone=dict(type='ResNet', depth=18, dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2)),
    decode_head=dict(in_channels=512, channels=128, num_classes='dataset', loss_decode=loss),
    auxiliary_head=None)
