_base_ = ['_yowo.py']
model = dict(backbone_3d='mobilenet', width=2.0)
