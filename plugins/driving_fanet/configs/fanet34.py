# FANet-34, the larger of the two encoders of FANet's authors.
_base_ = ['_fanet.py']
model = dict(depth=34, pretrained='weights://resnet34_imagenet')
