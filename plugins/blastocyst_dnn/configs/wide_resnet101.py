_base_ = ['_single_frame.py']
model = dict(network='wide_resnet101', pretrained='weights://wide_resnet101_2_imagenet')
