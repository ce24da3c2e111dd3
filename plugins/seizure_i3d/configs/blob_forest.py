# Baseline for thermal frames: moments of what is warm in whole frames, and a random forest.
_base_ = ['motion_energy.py']

crop = dict(detector=None)  # nobody looks: whole frames
read = dict(size=None, crop=None, channels=1)
data = dict(pipeline=['config://read', dict(type='seizure_i3d.Measure', measure='blob')])
model = dict(kind='forest')
