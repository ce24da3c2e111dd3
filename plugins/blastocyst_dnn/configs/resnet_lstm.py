_base_ = ['_multi_frame.py']
model = dict(network='resnet_lstm', pretrained='weights://resnet18_imagenet')
