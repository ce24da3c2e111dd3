_base_ = ['_multi_frame.py']
model = dict(network='resnet50_convlstm', pretrained='weights://resnet50_imagenet')
