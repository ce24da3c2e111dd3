# FANet-18 with the context of the last 6 frames (section 2.3.2), mixed batching.
_base_ = ['_fanet.py']
tca_depth = 6
