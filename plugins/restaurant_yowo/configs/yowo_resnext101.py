_base_ = ['_yowo.py']
model = dict(backbone_3d='resnext101')
