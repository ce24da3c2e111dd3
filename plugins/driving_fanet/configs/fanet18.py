# FANet-18 on single frames, mixed batching (section 2.3.1; N = 0 of Table 2).
_base_ = ['_fanet.py']
