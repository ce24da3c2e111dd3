_base_ = ['_single_frame.py']
model = dict(network='mobilenet_v3', pretrained='weights://mobilenet_v3_large_imagenet')
