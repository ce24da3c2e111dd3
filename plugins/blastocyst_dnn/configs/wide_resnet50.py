_base_ = ['_single_frame.py']
model = dict(network='wide_resnet50', pretrained='weights://wide_resnet50_2_imagenet')
