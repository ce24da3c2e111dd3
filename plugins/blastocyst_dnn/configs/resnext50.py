_base_ = ['_single_frame.py']
model = dict(network='resnext50', pretrained='weights://resnext50_32x4d_imagenet')
