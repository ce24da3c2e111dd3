# A real-time peer: Fast-SCNN as mmseg configures it, trained as all models here are.
_base_ = ['mmseg::_base_/models/fast_scnn.py', '_training.py']

auxiliary = dict(
    type='FCNHead', channels=32, num_convs=1, num_classes='dataset', concat_input=False, align_corners=False,
    norm_cfg=dict(type='BN', requires_grad=True, momentum=0.01),
    loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True, loss_weight=0.4))
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False, size_divisor=1),
    decode_head=dict(num_classes='dataset', loss_decode=dict(avg_non_ignore=True)),
    auxiliary_head=[
        dict(in_channels=128, in_index=-2, **auxiliary),
        dict(in_channels=64, in_index=-3, **auxiliary)])
