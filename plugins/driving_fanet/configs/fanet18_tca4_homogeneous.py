# FANet-18 with the context of the last 4 frames, homogeneous batching (Figure 8): 16 labelled frames after 4 others.
_base_ = ['_fanet.py']
tca_depth = 4
run = 16
