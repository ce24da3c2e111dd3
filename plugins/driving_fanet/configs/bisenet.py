# A real-time peer: BiSeNet with ResNet-18 as mmseg configures it, trained as all models here are.
_base_ = ['mmseg::_base_/models/bisenetv1_r18-d32.py', '_training.py']

loss = dict(type='driving_fanet.VoidCrossEntropy', class_weights='config://class_weights')
auxiliary = dict(
    type='FCNHead', in_channels=128, channels=64, num_convs=1, num_classes='dataset', concat_input=False,
    align_corners=False, norm_cfg=dict(type='BN', requires_grad=True),
    loss_decode=loss)
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False, size_divisor=1),
    decode_head=dict(num_classes='dataset', loss_decode=dict(_delete_=True, **loss)),
    auxiliary_head=[dict(in_index=1, **auxiliary), dict(in_index=2, **auxiliary)])
