_base_ = ['_single_frame.py']
model = dict(network='resnet101', pretrained='weights://resnet101_imagenet')
