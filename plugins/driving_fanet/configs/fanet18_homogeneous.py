# FANet-18 on single frames, homogeneous batching (Figure 7): the 16 labelled frames of a step follow on one another.
_base_ = ['_fanet.py']
run = 16
