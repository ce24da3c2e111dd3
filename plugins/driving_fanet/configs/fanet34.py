# FANet-34, the larger of the two encoders of FANet's authors.
_base_ = ['_fanet.py']
pretrained = 'weights://resnet34_imagenet'
model = dict(depth=34)
