_base_ = ['_floor.py']
model = dict(type='embryo_timelapse.PhaseClock', num_classes='dataset', width=None)
