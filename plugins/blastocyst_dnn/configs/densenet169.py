_base_ = ['_single_frame.py']
model = dict(network='densenet169', pretrained='weights://densenet169_imagenet')
