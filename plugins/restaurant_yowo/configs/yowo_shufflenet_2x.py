_base_ = ['_yowo.py']
model = dict(backbone_3d='shufflenet', width=2.0)
