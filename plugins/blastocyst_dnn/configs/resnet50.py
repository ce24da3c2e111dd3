_base_ = ['_single_frame.py']
model = dict(network='resnet50', pretrained='weights://resnet50_imagenet')
