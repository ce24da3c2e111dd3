_base_ = ['_multi_frame.py']
pack = dict(type='vidsuite.PackClip', mean=127.5, std=127.5)   # I3D's weights expect [-1, 1]
model = dict(network='i3d', pretrained='weights://i3d_rgb_kinetics400')
