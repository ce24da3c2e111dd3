_base_ = ['_multi_frame.py']
model = dict(network='resnet3d', pretrained='weights://r3d_18_kinetics400')
