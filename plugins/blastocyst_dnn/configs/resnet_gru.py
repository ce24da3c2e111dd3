_base_ = ['_multi_frame.py']
model = dict(network='resnet_gru', pretrained='weights://resnet18_imagenet')
