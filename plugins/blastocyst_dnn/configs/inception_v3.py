_base_ = ['_single_frame.py']
model = dict(network='inception_v3', pretrained='weights://inception_v3_google_imagenet')
