_base_ = ['_multi_frame.py']
model = dict(network='mfnet')
