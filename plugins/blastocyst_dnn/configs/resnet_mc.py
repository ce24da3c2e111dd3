_base_ = ['_multi_frame.py']
model = dict(network='resnet_mc', pretrained='weights://mc3_18_kinetics400')
