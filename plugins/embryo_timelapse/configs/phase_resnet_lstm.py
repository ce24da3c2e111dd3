_base_ = ['_phases.py']
model = dict(memory=256)
presets = dict(quick=dict(frames=32, train_dataloader=dict(batch_size=2)))   # as many labelled frames a step
