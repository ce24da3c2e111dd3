_base_ = ['_multi_frame.py']
model = dict(network='r2plus1d', pretrained='weights://r2plus1d_18_kinetics400')
