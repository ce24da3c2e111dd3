_base_ = ['_single_frame.py']
model = dict(network='resnext101', pretrained='weights://resnext101_32x8d_imagenet')
