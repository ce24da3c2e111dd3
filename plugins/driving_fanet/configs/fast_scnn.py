# A real-time peer: Fast-SCNN as mmseg configures it, trained as all models here are: mmseg has a sigmoid for each class
# in its losses, all rows here have one softmax.
_base_ = ['mmseg::_base_/models/fast_scnn.py', '_training.py']

loss = dict(type='driving_fanet.VoidCrossEntropy', class_weights='config://class_weights')
auxiliary = dict(
    type='FCNHead', channels=32, num_convs=1, num_classes='dataset', concat_input=False, align_corners=False,
    norm_cfg=dict(type='BN', requires_grad=True, momentum=0.01),
    loss_decode=dict(loss_weight=0.4, **loss))
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False, size_divisor=1),
    decode_head=dict(num_classes='dataset', loss_decode=dict(_delete_=True, **loss)),
    auxiliary_head=[
        dict(in_channels=128, in_index=-2, **auxiliary),
        dict(in_channels=64, in_index=-3, **auxiliary)])
