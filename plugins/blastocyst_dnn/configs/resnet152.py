_base_ = ['_single_frame.py']
model = dict(network='resnet152', pretrained='weights://resnet152_imagenet')
