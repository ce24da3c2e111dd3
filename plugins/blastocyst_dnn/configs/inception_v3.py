_base_ = ['_single_frame.py']
model = dict(network='inception_v3', pretrained='weights://inception_v3_google_imagenet')
presets = dict(quick=dict(size=80), medium=dict(size=80))   # it takes no frame of less than 75 pixels
