# Table 2, left: the last frame at 400x400, batches of 32; 500 epochs of half of 531 embryos are 4,150 steps.
_base_ = ['_recipe.py']
size = 400
frames = 1
train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
train_cfg = dict(by_epoch=False, max_iters=4150)
