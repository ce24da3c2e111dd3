# FANet-18 with the context of the last frame alone (section 2.3.2), mixed batching. As FANet's authors report it (section 4).
_base_ = ['_fanet.py']
tca_depth = 1
