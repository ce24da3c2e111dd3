_base_ = ['_single_frame.py']
model = dict(network='densenet121', pretrained='weights://densenet121_imagenet')
