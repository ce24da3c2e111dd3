# FANet-18 on single frames, homogeneous batching (Figure 7).
_base_ = ['_fanet.py']
run = 16
