_base_ = ['_single_frame.py']
size = 224   # the square that the network's positions are for

model = dict(network='vit_base', pretrained='weights://vit_b_16_imagenet')
