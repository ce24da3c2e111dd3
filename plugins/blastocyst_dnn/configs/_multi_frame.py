# Table 2, right: 32 frames at 224x224, batches of 16; 100 epochs of half of 531 embryos are 1,660 steps.
_base_ = ['_recipe.py']
size = 224
frames = 32
train_cfg = dict(by_epoch=False, max_iters=1660)
presets = dict(quick=dict(frames=16), medium=dict(frames=16))
