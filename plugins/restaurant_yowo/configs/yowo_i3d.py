# What can be had with real weights: I3D (Kinetics-400) for the clip and YOLOX-Nano (COCO) for the key frame.
_base_ = ['_yowo.py']
model = dict(
    backbone_2d='yolox_nano',
    backbone_3d='i3d',
    pretrained_2d='weights://yolox_nano_coco',
    pretrained_3d='weights://i3d_rgb_kinetics400')
