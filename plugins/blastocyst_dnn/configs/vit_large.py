_base_ = ['_single_frame.py']
size = 224   # the square that the network's positions are for

model = dict(network='vit_large', pretrained='weights://vit_l_16_imagenet')
