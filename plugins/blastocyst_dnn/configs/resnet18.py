_base_ = ['_single_frame.py']
model = dict(network='resnet18', pretrained='weights://resnet18_imagenet')
