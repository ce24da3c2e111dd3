# FANet-18 with the context of the last 2 frames (section 2.3.2), mixed batching.
_base_ = ['_fanet.py']
tca_depth = 2
