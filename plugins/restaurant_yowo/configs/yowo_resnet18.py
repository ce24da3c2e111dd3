_base_ = ['_yowo.py']
model = dict(backbone_3d='resnet18')
